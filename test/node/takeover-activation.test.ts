import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { pipe, type SocketHandle, tcp } from '../../proxy/wire/native.ts';
import { ROOT } from '../commands/bulkhead.ts';
import { freePort, startServer, until } from './harness.ts';
import { Load } from './load.ts';

const MAIN = join(ROOT, 'proxy/main.ts');

/** A socket as a service manager has it: bound here, never accepted from here, and open for as long as the test goes on. */
function keep(to: { port: number } | { path: string }): number {
  const handle: SocketHandle = 'path' in to ? new pipe.Pipe(pipe.constants.SERVER) : new tcp.TCP(tcp.constants.SERVER);
  expect('path' in to ? handle.bind(to.path) : handle.bind('127.0.0.1', to.port, 0)).toBeFalsy();
  onTestFinished(() => handle.close());
  return handle.fd;
}

interface Started {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly over: Promise<number | null>;
}

/** Runs the node as systemd does: sockets from descriptor 3 on, for the process that LISTEN_PID names. */
function activate(file: string, descriptors: readonly number[], names: string, ...words: string[]): Started {
  const child = spawn('sh', ['-c', 'LISTEN_PID=$$ exec "$0" "$@"', process.execPath, MAIN, 'run', file, ...words], {
    cwd: ROOT,
    env: { ...process.env, LISTEN_FDS: String(descriptors.length), LISTEN_FDNAMES: names, NO_COLOR: '1' },
    stdio: ['ignore', 'ignore', 'pipe', ...descriptors],
  });
  let text = '';
  child.stderr!.on('data', (bytes: Buffer) => (text += bytes));
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, log: () => text, over: once(child, 'close').then(([status]) => status as number | null) };
}

async function ready({ child, log }: Started): Promise<void> {
  await until(() => {
    if (child.exitCode !== null) throw new Error(log());
    return log().includes('"ready"');
  }, 20_000);
}

async function site(vips: (folder: string) => string, workers = 2) {
  const server = await startServer((socket: Socket) => {
    socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'));
    socket.on('end', () => socket.end());
  });
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-activation-'));
  onTestFinished(async () => {
    await server.close();
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'bulkhead.yaml');
  const write = (list: string) =>
    writeFileSync(
      file,
      `version: 1
process: { workers: ${workers}, admin: off, state: ${folder}/state }
pools: { web: { servers: [127.0.0.1:${server.port}] } }
applications:
  web: { vips: [${list}], mode: http, pool: web, rules: [{ name: all, action: allow }] }
`,
    );
  write(vips(folder));
  return { folder, file, write };
}

describe('sockets of a service manager', () => {
  it('carry traffic, stay bound over restarts and takeovers, and keep clients waiting rather than refused', async () => {
    const port = await freePort();
    const { folder, file } = await site((path) => `127.0.0.1:${port}, "unix:${path}/web.sock"`);
    const path = join(folder, 'web.sock');
    const descriptors = [keep({ port }), keep({ path })];
    const load = new Load();
    let running = activate(file, descriptors, 'web:local');
    await ready(running);
    const loads = [load.connect({ port, host: '127.0.0.1' }, 6), load.connect({ path }, 3), load.keep({ port, host: '127.0.0.1' }, 3, 0)];
    await load.progress(300);
    running.child.kill('SIGTERM');
    expect(await running.over).toBe(0);
    expect(statSync(path).isSocket()).toBe(true);
    running = activate(file, descriptors, 'web:local');
    await ready(running);
    await load.progress(300);
    const follower = activate(file, [], '', '--takeover');
    await ready(follower);
    expect(await running.over).toBe(0);
    await load.progress(300);
    load.stop();
    await Promise.all(loads);
    expect(load.outcomes).toEqual({ answered: expect.any(Number) });
  }, 60_000);

  it('come back with a VIP that was taken out of the file and put in again', async () => {
    const [port, other] = [await freePort(), await freePort()];
    const { file, write } = await site(() => `127.0.0.1:${port}, 127.0.0.1:${other}`);
    const node = activate(file, [keep({ port })], 'web');
    await ready(node);
    const applied = () => node.log().split('policy in force').length - 1;
    for (const [vips, count] of [
      [`127.0.0.1:${other}`, 2],
      [`127.0.0.1:${port}, 127.0.0.1:${other}`, 3],
    ] as const) {
      write(vips);
      node.child.kill('SIGHUP');
      await until(() => applied() === count);
    }
    const load = new Load();
    const loading = load.connect({ port, host: '127.0.0.1' }, 4);
    await load.progress(50);
    load.stop();
    await loading;
    expect(load.outcomes).toEqual({ answered: expect.any(Number) });
  }, 30_000);

  it('that no VIP asks for are named with their address, and what to do about them', async () => {
    const [port, stray] = [await freePort(), await freePort()];
    const { folder, file } = await site(() => `127.0.0.1:${port}`);
    const node = activate(file, [keep({ port }), keep({ port: stray }), keep({ path: join(folder, 'x.sock') })], 'web:extra:local');
    expect(await node.over).toBe(1);
    expect(node.log().split('\n').slice(0, 2)).toEqual([
      `bulkhead: file descriptor 4 (extra) of the service manager listens on 127.0.0.1:${stray}, which is no VIP of the file: write it among the vips of an application, or take ListenStream=127.0.0.1:${stray} out of the socket unit`,
      `bulkhead: file descriptor 5 (local) of the service manager listens on unix:${folder}/x.sock, which is no VIP of the file: write it among the vips of an application, or take ListenStream=${folder}/x.sock out of the socket unit`,
    ]);
  }, 30_000);

  it('are another process’s where LISTEN_PID says so', async () => {
    const port = await freePort();
    const { file } = await site(() => `127.0.0.1:${port}`);
    const child = spawn(process.execPath, [MAIN, 'run', file], {
      cwd: ROOT,
      env: { ...process.env, LISTEN_FDS: '1', LISTEN_PID: '1', LISTEN_FDNAMES: 'web' },
      stdio: ['ignore', 'ignore', 'pipe', keep({ port: await freePort() })],
    });
    let text = '';
    child.stderr!.on('data', (bytes: Buffer) => (text += bytes));
    onTestFinished(() => void child.kill('SIGKILL'));
    await until(() => text.includes('"ready"'), 20_000);
  }, 30_000);
});
