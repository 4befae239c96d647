/** What ends by itself on a whole node, where the first try cannot bring it about. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { freePort, startServer, type TestServer, until } from '../node/harness.ts';
import { ANA, type Controlled, connectFrom, sourcesOf, startControlled } from './controlled.ts';

const RETRY_MS = 40;

const stops: (() => unknown)[] = [];
let echo: TestServer;
let port: number;
/** Of a second VIP, which the first version has. */
let second: number;

beforeEach(async () => {
  echo = await startServer((socket) => socket.pipe(socket));
  stops.push(() => echo.close());
  [port, second] = [await freePort(), await freePort()];
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const file = (vips: readonly number[]) => `
version: 1
process: { workers: 1 }
pools: { echo: { servers: [127.0.0.1:${echo.port}] } }
applications:
  tcp: { vips: [${vips.map((vip) => `127.0.0.1:${vip}`).join(', ')}], mode: tcp, pool: echo, rules: [{ name: all, action: allow }] }
`;

async function started(directory: string | null = null): Promise<Controlled> {
  const node = await startControlled(file([port, second]), directory, RETRY_MS);
  stops.push(() => node.stop());
  return node;
}

/** Somebody else listens on the second VIP, once the node has given it up: going back to the first version is refused. */
async function occupySecond(): Promise<{ leave(): Promise<void> }> {
  let server: Server;
  await until(() => {
    server = createServer();
    return new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen({ port: second, host: '127.0.0.1', exclusive: true }, () => resolve(true));
    });
  });
  const leave = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  stops.push(leave);
  return { leave };
}

const isBack = ({ control }: Controlled) => control.inForce().cause === 'revert';
const refusals = ({ logged }: Controlled) => logged.filter(({ message }) => message.includes('going back to version 1 was refused'));

/** Time for three more tries, if there are any. */
async function someTries(): Promise<void> {
  const from = performance.now();
  await until(() => performance.now() - from > 3 * RETRY_MS);
}

/** Dials fail where none failed before. */
async function harm(): Promise<void> {
  await echo.close();
  for (let i = 0; i < 30; i++) await (await connectFrom('127.0.0.1', port)).closed;
}

describe('a version that nobody confirms', () => {
  it('is taken back as soon as it can be, and what stands in the way is told once', async () => {
    const node = await started();
    expect(await node.apply(file([port]), { confirmMs: 1_000 })).toMatchObject({ ok: true });
    const stranger = await occupySecond();
    await until(() => node.node.applies().refused >= 3);
    expect(refusals(node).length).toBe(1);
    expect((await node.control.archive.audit(10)).filter(({ outcome }) => outcome === 'refused')).toMatchObject([
      { action: 'revert', detail: expect.stringContaining(`127.0.0.1:${second} is in use`) },
    ]);
    await stranger.leave();
    await until(() => isBack(node));
    expect((await node.control.archive.version(3))?.sources).toEqual(sourcesOf(file([port, second])));
  });

  it('stays where it is confirmed after all', async () => {
    const node = await started();
    await node.apply(file([port]), { confirmMs: 1_000 });
    const stranger = await occupySecond();
    await until(() => refusals(node).length > 0);
    expect(await node.control.confirm(ANA)).toMatchObject({ ok: true });
    const { refused } = node.node.applies();
    await stranger.leave();
    await someTries();
    expect([node.control.inForce().cause, node.node.applies().refused]).toEqual(['confirm', refused]);
  });

  it('is taken back though the file of the version before cannot be read at that moment', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'bulkhead-endings-'));
    stops.push(() => rmSync(directory, { recursive: true }));
    const node = await started(directory);
    await node.apply(file([port]), { confirmMs: 1_000 });
    renameSync(join(directory, 'version-00000001.json'), join(directory, 'away'));
    await until(() => isBack(node));
  });

  it('can be gone back from, whatever was ordered since', async () => {
    const node = await started();
    await node.apply(file([port]), { confirmMs: 60_000 });
    const server = { pool: 'echo', server: `127.0.0.1:${echo.port}`, actor: ANA };
    for (let i = 0; i < 26; i++) for (const state of ['drain', 'up'] as const) await node.control.setServer({ ...server, state });
    expect(node.control.archive.versions().at(-1)).toMatchObject({ version: 1 });
    expect(await node.control.rollback({ version: null, note: null, expected: null, actor: ANA })).toMatchObject({ ok: true });
    expect(node.node.policy().document.applications[0]?.vips.length).toBe(2);
  });
});

describe('a guard', () => {
  const guard = { rise: 0.05, forMs: 60_000 };

  it('takes a harmful change back as soon as it can be', async () => {
    const node = await started();
    await node.apply(file([port]), { guard });
    const stranger = await occupySecond();
    await harm();
    await until(() => node.node.applies().refused >= 3);
    expect([refusals(node).length, node.events.filter(({ kind }) => kind === 'guarded').length]).toEqual([1, 1]);
    await stranger.leave();
    await until(() => isBack(node));
  });

  it('goes on standing after a rollback that was refused, and after the same texts were read again', async () => {
    const node = await started();
    await node.apply(file([port]), { guard });
    const stranger = await occupySecond();
    expect(await node.control.rollback({ version: 1, note: null, expected: null, actor: ANA })).toMatchObject({ ok: false });
    await stranger.leave();
    const sources = sourcesOf(file([port]));
    expect(await node.control.reload(sources, parseDocument(sources))).toMatchObject({ ok: true });
    await harm();
    await until(() => isBack(node));
  });

  it('that found harm lets another document alone', async () => {
    const node = await started();
    await node.apply(file([port]), { guard });
    await occupySecond();
    await harm();
    await until(() => refusals(node).length > 0);
    const { refused } = node.node.applies();
    expect(await node.apply(`${file([port])}# mended`)).toMatchObject({ ok: true, version: 3 });
    await someTries();
    expect([node.control.inForce().version, node.node.applies().refused - refused]).toEqual([3, expect.toSatisfy((n: number) => n <= 1)]);
  });
});

describe('a quarantine whose time is over', () => {
  it('is lifted though the first try has thrown', async () => {
    const node = await started();
    await node.control.quarantine({ target: '127.0.0.9', forMs: 200, reason: 'worm', actor: ANA });
    const apply = node.node.apply.bind(node.node);
    let tries = 0;
    node.node.apply = (...of) => (tries++ === 0 ? Promise.reject(new RangeError('Array buffer allocation failed')) : apply(...of));
    await until(() => node.control.overlay().quarantines.length === 0);
    expect(tries).toBe(2);
    expect(node.logged).toContainEqual({
      level: 'error',
      message: expect.stringContaining('a quarantine is over, but could not be lifted'),
    });
  });
});
