import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, onTestFinished } from 'vitest';
import { bulkhead, startBulkhead } from '../commands/bulkhead.ts';
import { client } from '../relay/client.ts';
import { freePort, startServer, until } from './harness.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'bulkhead-signals-'));
afterAll(() => rmSync(FOLDER, { recursive: true }));
let files = 0;

interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly file: string;
  /** Log lines so far. */
  said(message: string): Record<string, unknown> | undefined;
  write(vip: number, from?: string, more?: string): void;
}

/** The real command with a file of one application that echoes. */
async function run(vip: number, drain = '5s', wait = true): Promise<Running> {
  const echo = await startServer((socket: Socket) => void socket.pipe(socket));
  const file = join(FOLDER, `${files++}.yaml`);
  const write = (port: number, from = '127.0.0.0/8', more = '') =>
    writeFileSync(
      file,
      `version: 1
process: { workers: 2, admin: off, state: off${more} }
pools: { echo: { servers: [127.0.0.1:${echo.port}] } }
applications:
  echo: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [{ name: some, from: [${from}], action: allow }] }
`,
    );
  write(vip);
  const child = startBulkhead(['run', file, '--drain', drain]);
  let text = '';
  child.stderr.on('data', (data: Buffer) => (text += data));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await echo.close();
  });
  const said = (message: string) =>
    text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .findLast((line) => line.msg === message);
  if (wait) await until(() => said('ready') !== undefined, 15_000);
  return { child, file, said, write };
}

async function ask(port: number, from = '127.0.0.1'): Promise<string> {
  const one = client(port, { localAddress: from });
  one.socket.end('x');
  return (await one.bytes(1)) || (await one.over);
}

it('SIGHUP applies the file: flows it no longer allows are reset, the others carry on', async () => {
  const port = await freePort();
  const { child, write, said } = await run(port);
  const [keeps, goes] = [client(port, { localAddress: '127.0.0.2' }), client(port, { localAddress: '127.0.0.3' })];
  for (const one of [keeps, goes]) one.socket.write('a');
  for (const one of [keeps, goes]) await one.bytes(1);
  write(port, '127.0.0.2');
  child.kill('SIGHUP');
  expect(await goes.over).toBe('ECONNRESET');
  await until(() => said('policy in force')?.generation === 2);
  expect(said('policy in force')).toMatchObject({ revoked: 1, kept: 1 });
  keeps.socket.write('b');
  expect(await keeps.bytes(2)).toBe('ab');
  expect(await ask(port, '127.0.0.3')).toBe('ECONNRESET');
});

it('SIGHUP with a file that is wrong changes nothing, and the log says what is wrong and where', async () => {
  const port = await freePort();
  const { child, file, said, write } = await run(port);
  writeFileSync(file, 'version: 1\napplications: { a: { vips: nowhere } }\n');
  child.kill('SIGHUP');
  await until(() => said('the file is not applied; the last good policy stays in force') !== undefined);
  const { problems } = said('the file is not applied; the last good policy stays in force') as { problems: string[] };
  expect(problems.length).toBeGreaterThan(1);
  for (const problem of problems) expect(problem).toMatch(/\.yaml:\d+:\d+: error\[/);
  expect(await ask(port)).toBe('x');
  rmSync(file);
  child.kill('SIGHUP');
  await until(() => String((said('the file is not applied; the last good policy stays in force')!.problems as string[])[0]).length > 0);
  expect(await ask(port)).toBe('x');
  write(port, '127.0.0.9');
  child.kill('SIGHUP');
  await until(() => said('policy in force')?.generation === 2);
});

it('SIGHUP with another process section applies the rest, and says that a restart is needed for it', async () => {
  const port = await freePort();
  const { child, said, write } = await run(port);
  write(port, '127.0.0.9', ', node: other');
  child.kill('SIGHUP');
  await until(() => said('process: has changed in the file; it is read at start only, so a restart is needed for it') !== undefined);
  expect(await ask(port)).toBe('ECONNRESET');
});

it('SIGHUPs in quick succession are applied one after the other, and lose no flow that stays allowed', async () => {
  const port = await freePort();
  const { child, said } = await run(port);
  const one = client(port);
  one.socket.write('a');
  await one.bytes(1);
  for (let i = 0; i < 20; i++) {
    child.kill('SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await until(() => Number(said('policy in force')?.generation) > 1);
  one.socket.end('z');
  expect(await one.bytes(2)).toBe('az');
  expect(child.exitCode).toBeNull();
});

it('SIGTERM drains: no new connections, open ones may finish, then the status is 0', async () => {
  const port = await freePort();
  const { child, said } = await run(port, '20s');
  const one = client(port);
  one.socket.write('a');
  await one.bytes(1);
  child.kill('SIGTERM');
  await until(() => said('draining') !== undefined);
  await until(async () => (await ask(port)) === 'ECONNREFUSED');
  one.socket.end('z');
  expect(await one.bytes(2)).toBe('az');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

it('SIGTERM drains no longer than it is told to: what is still open is reset', async () => {
  const port = await freePort();
  const { child, said } = await run(port, '300ms');
  const one = client(port);
  one.socket.write('a');
  await one.bytes(1);
  const startedAt = performance.now();
  child.kill('SIGTERM');
  expect(await one.over).toBe('ECONNRESET');
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  await until(() => said('the drain time is over; connections that were still open are cut') !== undefined);
});

it('a SIGHUP while it drains opens nothing again and does not keep it from ending', async () => {
  const port = await freePort();
  const { child, said, write } = await run(port, '1s');
  const late = await freePort();
  const one = client(port);
  one.socket.write('a');
  await one.bytes(1);
  child.kill('SIGTERM');
  await until(() => said('draining') !== undefined);
  write(late);
  child.kill('SIGHUP');
  await until(() => said('the file is not applied; the last good policy stays in force') !== undefined);
  expect(await ask(late)).toBe('ECONNREFUSED');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

it('a second start on the same file says in one line what to do, and leaves the first one alone', async () => {
  const port = await freePort();
  const { file } = await run(port);
  const second = await bulkhead(['run', file]);
  expect(second.status).toBe(1);
  expect(second.stderr).toMatch(new RegExp(`^bulkhead: 127\\.0\\.0\\.1:${port} is in use[^\\n]*\\n$`, 'm'));
  for (let i = 0; i < 4; i++) expect(await ask(port)).toBe('x');
});
