/** A node renews its policy by itself: when a rule's time has come, and when something is learnt of its sources. */
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { freePort, startNode, startServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';
import { startNameServer } from '../sources/dns-server.ts';
import { bitsOf, writeMmdb } from '../sources/mmdb-writer.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function start(rules: string, more = '') {
  const echo = await startServer((socket) => socket.pipe(socket));
  const vip = await freePort();
  const text = (process = '') => `
version: 1
process: { workers: 2${process} }
pools: { p: { servers: [127.0.0.1:${echo.port}] } }
${more.startsWith('process') ? '' : more}
applications: { app: { vips: [127.0.0.1:${vip}], mode: tcp, pool: p, rules: [${rules}] } }
`;
  return { echo, vip, text };
}

it('ends a rule at its moment, with the flows that only it allowed', async () => {
  const ends = new Date(Date.now() + 700).toISOString();
  const { echo, vip, text } = await start(`{ name: guest, until: ${ends}, action: allow }`);
  const running = await startNode(text());
  stops.push(
    () => echo.close(),
    () => running.stop(),
  );
  const one = client(vip);
  one.socket.write('hello');
  expect(await one.bytes(5)).toBe('hello');
  const before = running.node.policy().generation;
  expect(await one.over).toBe('ECONNRESET');
  expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(ends));
  expect(await client(vip).over).toBe('ECONNRESET');
  // The worker cuts first, and tells the node then.
  await until(() => running.node.policy().generation > before);
  expect(running.node.policy().generation).toBe(before + 1);
  expect(running.application('app').flowsRevoked).toBe(1);
  const counted = running.node.counters().rules.find(({ rule }) => rule === 'guest');
  // The rule keeps its name and its counts.
  expect(counted).toMatchObject({ allow: 1 });
});

it('follows a name, and cuts the flows of an address that it no longer has', async () => {
  const names = await startNameServer();
  names.zone.set('partner.example', { addresses: ['127.0.0.1'], ttl: 5 });
  const { echo, vip, text } = await start(
    '{ name: partner, from: [partner], action: allow }',
    'segments: { partner: { dns: [partner.example] } }',
  );
  const running = await startNode(text(`, resolvers: ["${names.text}"]`));
  stops.push(
    () => names.close(),
    () => echo.close(),
    () => running.stop(),
  );
  const one = client(vip);
  one.socket.write('hello');
  expect(await one.bytes(5)).toBe('hello');
  expect(await client(vip, { localAddress: '127.0.0.2' }).over).toBe('ECONNRESET');
  names.zone.set('partner.example', { addresses: ['127.0.0.2'], ttl: 300 });
  expect(await one.over).toBe('ECONNRESET');
  const two = client(vip, { localAddress: '127.0.0.2' });
  two.socket.write('hello');
  expect(await two.bytes(5)).toBe('hello');
  two.socket.destroy();
});

it('refuses a policy whose database cannot be read, and takes it when it can', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-geo-'));
  const file = join(folder, 'country.mmdb');
  const { echo, vip, text } = await start('{ name: home, from: [home], action: allow }', 'segments: { home: { countries: [DE] } }');
  stops.push(
    () => rm(folder, { recursive: true }),
    () => echo.close(),
  );
  const yaml = text(`, geo: { country: ${file} }`);
  await expect(startNode(yaml)).rejects.toThrow(/process.geo.country: .*country.mmdb cannot be used: ENOENT/);
  writeFileSync(file, writeMmdb([{ bits: bitsOf('127.0.0.1/32'), record: { country: { iso_code: 'DE' } } }], 4, 24));
  const running = await startNode(yaml);
  stops.push(() => running.stop());
  const one = client(vip);
  one.socket.write('hello');
  expect(await one.bytes(5)).toBe('hello');
  one.socket.destroy();
  expect(await client(vip, { localAddress: '127.0.0.2' }).over).toBe('ECONNRESET');
});

it('says what is not known, and lets nobody in for it', async () => {
  const names = await startNameServer();
  names.zone.set('partner.example', 'fail');
  const { echo, vip, text } = await start(
    '{ name: partner, from: [partner], action: allow }',
    'segments: { partner: { dns: [partner.example] } }',
  );
  const running = await startNode(text(`, resolvers: ["${names.text}"]`));
  stops.push(
    () => names.close(),
    () => echo.close(),
    () => running.stop(),
  );
  expect(running.logged.find(({ message }) => message === 'a part of a segment is not known')?.fields).toEqual({
    segment: 'partner',
    what: 'partner.example',
    closes: true,
  });
  expect(await client(vip).over).toBe('ECONNRESET');
  names.zone.set('partner.example', { addresses: ['127.0.0.1'], ttl: 300 });
  await until(() => running.logged.some(({ message }) => message === 'policy renewed'), 10_000);
  const one = client(vip);
  one.socket.write('hello');
  expect(await one.bytes(5)).toBe('hello');
  one.socket.destroy();
});
