/** A site to be carried by processes of their own: a server, a folder, and a file that a node is started on, again and again. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBulkhead } from '../commands/bulkhead.ts';
import { freePort, startServer, until } from './harness.ts';

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly log: () => string;
  said(message: string): Record<string, unknown> | undefined;
  /** The exit status. */
  readonly over: Promise<number | null>;
}

export interface Site {
  readonly folder: string;
  readonly file: string;
  readonly http: number;
  readonly tcp: number;
  readonly unix: string;
  readonly admin: number;
  /** Where requests and bytes are answered. */
  readonly server: number;
  start(...words: string[]): Promise<Running>;
  write(more?: string): void;
}

/** Answers requests, upgrades whoever asks, and echoes everything else. */
function serve(socket: Socket): void {
  socket.on('data', (bytes: Buffer) => {
    const text = bytes.toString('latin1');
    const requests = text.split('\r\n\r\n').length - 1;
    if (!text.startsWith('GET ')) socket.write(bytes);
    else if (text.includes('websocket')) socket.write('HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'.repeat(requests));
  });
  socket.on('end', () => socket.end());
}

/** `atEnd` is given what ends the site again. `adminOf`: where the admin endpoint listens, of the folder and a free port. */
export async function site(
  atEnd: (end: () => Promise<void>) => void,
  adminOf = (_folder: string, port: number) => `127.0.0.1:${port}`,
): Promise<Site> {
  const server = await startServer(serve);
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-takeover-'));
  const [http, tcp, admin] = [await freePort(), await freePort(), await freePort()];
  const file = join(folder, 'bulkhead.yaml');
  const unix = join(folder, 'web.sock');
  const write = (more = '') =>
    writeFileSync(
      file,
      `version: 1
process: { workers: 2, state: ${folder}/state, admin: { listen: "${adminOf(folder, admin)}" } }
pools: { web: { servers: [127.0.0.1:${server.port}] } }
applications:
  web: { vips: [127.0.0.1:${http}, "unix:${unix}"], mode: http, pool: web, rules: [{ name: all, action: allow }] }
  echo: { vips: [127.0.0.1:${tcp}${more}], mode: tcp, pool: web, rules: [{ name: all, action: allow }] }
`,
    );
  write();
  const running: Running[] = [];
  atEnd(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await Promise.all(running.map(({ over }) => over));
    await server.close();
    rmSync(folder, { recursive: true });
  });
  const start = async (...words: string[]) => {
    const one = watch(startBulkhead(['run', file, ...words]));
    running.push(one);
    await until(() => {
      if (one.child.exitCode !== null) throw new Error(`the node has ended: ${one.log()}`);
      return one.said('ready') !== undefined;
    }, 20_000);
    return one;
  };
  return { folder, file, http, tcp, unix, admin, server: server.port, start, write };
}

export function watch(child: ChildProcessWithoutNullStreams): Running {
  let text = '';
  child.stderr.on('data', (data: Buffer) => (text += data));
  const over = once(child, 'exit').then(([status]) => status as number | null);
  const lines = () =>
    text
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { child, over, log: () => text, said: (message) => lines().findLast((line) => line.msg === message) };
}

export async function pidAt(admin: number): Promise<unknown> {
  const answer = await fetch(`http://127.0.0.1:${admin}/api/v1/status`);
  return ((await answer.json()) as { pid: number }).pid;
}
