/** What a running node goes by, and went by, as one side of diff and explain. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type TestServer, until } from '../node/harness.ts';
import { connectFrom } from '../versions/controlled.ts';
import { type NodeProcess, startNodeProcess } from './node.ts';

const OFFICE = '{ name: office, from: [office], action: allow }';

let node: NodeProcess;
let echo: TestServer;
let office: string;

beforeAll(async () => {
  echo = await startServer((socket) => socket.pipe(socket));
  node = await startNodeProcess('unix', echo.port);
  office = node.write('office.yaml', OFFICE);
  // The first version lets everybody in, the second one the office; the file on disk stays as the first.
  expect((await node.run('apply', office)).status).toBe(0);
}, 30_000);
afterAll(async () => {
  await node.kill('SIGTERM');
  await echo.close();
  rmSync(node.folder, { recursive: true, force: true });
});

describe('diff with what a node has', () => {
  it.each([
    ['in-force office', 0, /^no difference in meaning\n$/],
    ['in-force file', 1, /gain/],
    ['file in-force', 1, /lose/],
    ['version:1 version:2', 1, /lose/],
    ['version:2 version:1', 1, /gain/],
    ['version:1 file', 0, /^no difference in meaning\n$/],
    ['version:2 in-force', 0, /^no difference in meaning\n$/],
  ])('%s ends with %i', { concurrent: true }, async (names, status, says) => {
    const files: Record<string, string> = { office, file: node.file };
    const ended = await node.run('diff', ...names.split(' ').map((name) => files[name] ?? name));
    expect(ended).toEqual({ status, signal: null, stdout: expect.stringMatching(says), stderr: '' });
  });

  it('says at which line of which version a rule stands', async () => {
    const { stdout } = await node.run('diff', 'version:1', 'in-force');
    expect(stdout).toMatch(/version-1\/bulkhead\.yaml:\d+:\d+/);
  });

  it.each([
    ['version:99', /has no version 99 \(any more\): bulkhead versions lists/],
    ['version:x', /"version:x" names no version: write version:3/],
  ])('%s is refused in one line', { concurrent: true }, async (name, message) => {
    const { status, stdout, stderr } = await node.run('diff', name, office);
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringMatching(message)]);
    expect(stderr).toMatch(/^bulkhead: [^\n]+\n$/);
  });

  it('knows the values that the node filled in for variables', async () => {
    const withVariable = join(node.folder, 'variable.yaml');
    writeFileSync(withVariable, node.text(`{ name: one, from: ["\${ONLY:-192.0.2.1}"], action: allow }`));
    expect((await node.run('apply', withVariable)).status).toBe(0);
    const written = node.write('written.yaml', '{ name: one, from: [192.0.2.1], action: allow }');
    expect(await node.run('diff', 'in-force', written)).toMatchObject({ status: 0, stderr: '' });
    expect(await node.run('diff', 'version:3', written)).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('version:3 uses variables'),
    });
    expect((await node.run('apply', office)).status).toBe(0);
  });
});

describe('explain with what a node has', () => {
  it.each([
    ['in-force', '127.0.0.2', 0],
    ['in-force', '127.0.0.9', 1],
    ['version:1', '127.0.0.9', 0],
  ])('%s from %s ends with %i', { concurrent: true }, async (name, from, status) => {
    const ended = await node.run('explain', name, '--from', from, '--to', `127.0.0.1:${node.port}`);
    expect([ended.status, ended.stderr]).toEqual([status, '']);
  });

  it('without a flow asks for one', async () => {
    expect(await node.run('explain', 'in-force')).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/say which flow/) });
  });
});

describe('with what holds beside the document', () => {
  const from = ['--from', '127.0.0.2', '--to'];
  it('explain names the quarantine that decides, and diff takes it to hold on both sides', async () => {
    const to = `127.0.0.1:${node.port}`;
    expect((await node.run('quarantine', 'office', '--for', '1h', '--reason', 'odd traffic')).status).toBe(0);
    const denied = await node.run('explain', 'in-force', ...from, to, '--json');
    expect(denied.status).toBe(1);
    expect(JSON.parse(denied.stdout)).toMatchObject({
      ...{ verdict: 'deny', application: 'shop', rule: expect.stringMatching(/^quarantine-\d+$/), tier: 'guardrail', at: null },
      reason: expect.stringMatching(/a quarantine of office by \S.*, until 20.*: odd traffic$/),
    });
    const batch = JSON.parse((await node.run('flows', '--denied', '--json')).stdout) as { flows: unknown[] };
    expect(batch.flows).toEqual([]);
    expect((await node.run('explain', 'version:2', ...from, to)).status).toBe(0);
    const diff = await node.run('diff', 'in-force', node.file);
    expect(diff.stderr).toMatch(/^beside the documents hold on the node: quarantine-\d+ \(office\) denies on both sides/);
    // The file would let everybody in, but not those who are cut off.
    expect(diff.stdout).toMatch(/gains access\n {2}from {6}0\.0\.0\.0\/0 except 127\.0\.0\.2/);
    expect((await node.run('release', 'office')).status).toBe(0);
    expect(await node.run('explain', 'in-force', ...from, to)).toMatchObject({ status: 0, stderr: '' });
  });

  it('explain tells of servers that are set apart where the flow goes', async () => {
    const server = `echo/127.0.0.1:${echo.port}`;
    expect((await node.run('server', 'drain', server)).status).toBe(0);
    const { stdout } = await node.run('explain', 'in-force', ...from, `127.0.0.1:${node.port}`);
    expect(stdout).toMatch(/^allow: /);
    expect(stdout).toContain(`  set apart    ${server} (drain)`);
    expect((await node.run('server', 'up', server)).status).toBe(0);
  });
});

describe('explain of a receipt over a unix socket', () => {
  it('tells of a flow that is live, and of the same one when it is past', async () => {
    const client = await connectFrom('127.0.0.2', node.port);
    client.socket.write('hi');
    await until(() => client.text() === 'hi');
    const [live] = (JSON.parse((await node.run('flows', '--json')).stdout) as { flows: { receipt: string }[] }).flows;
    const during = await node.run('explain', live!.receipt);
    expect(during).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^allow: 127\.0\.0\.2:\d+ to [\s\S]*ended by +nobody: it is live/),
    });
    client.socket.end();
    await client.closed;
    const past = await node.run('explain', live!.receipt);
    expect(past).toMatchObject({ status: 0, stdout: expect.stringMatching(/rule +office.*\n[\s\S]*ended by +client/) });
    const bySource = await node.run('flows', '--source', '127.0.0.0/30', '--since', '10m', '--json');
    expect((JSON.parse(bySource.stdout) as { flows: { receipt: string }[] }).flows.map(({ receipt }) => receipt)).toContain(live!.receipt);
  });
});
