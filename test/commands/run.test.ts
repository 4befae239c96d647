import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { bulkhead, ended, startBulkhead } from './bulkhead.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'bulkhead-run-'));
afterAll(() => rmSync(FOLDER, { recursive: true }));

function write(name: string, port: number, pool = 'echo'): string {
  const path = join(FOLDER, name);
  writeFileSync(
    path,
    `version: 1
process: { workers: 1, admin: off, state: off }
pools:
  echo: { servers: [127.0.0.1:9] }
applications:
  echo: { vips: [127.0.0.1:${port}], mode: tcp, pool: ${pool}, rules: [{ name: all, action: allow }] }
`,
  );
  return path;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Tries until something listens there. */
async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    if (connected) return;
    await pause(20);
  }
}

describe('run', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('carries traffic until %s, and ends with 0', async (signal) => {
    const port = await freePort();
    const child = startBulkhead(['run', write('good.yaml', port), '--drain', '1s', '--workers', '1']);
    onTestFinished(() => void child.kill('SIGKILL'));
    const end = ended(child);
    await listening(port);
    child.kill(signal);
    expect(await end).toMatchObject({ status: 0, signal: null });
  });

  it('refuses a bad file with every problem, a line each, and ends with 1', async () => {
    const ended = await bulkhead(['run', write('bad.yaml', 0, 'ehco')]);
    expect(ended.stderr).toMatch(
      /^bulkhead: \S*bad\.yaml:6:\d+: error\[bad-address\][^\n]+\nbulkhead: \S*bad\.yaml:6:\d+: error\[dangling-name\][^\n]+"echo"\?\n$/,
    );
    expect({ status: ended.status, stdout: ended.stdout }).toEqual({ status: 1, stdout: '' });
  });

  it('says which address is in use, and ends with 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { status, stderr } = await bulkhead(['run', write('busy.yaml', port)]);
    other.close();
    expect(stderr).toMatch(new RegExp(`^bulkhead: [^\\n]*127\\.0\\.0\\.1:${port}[^\\n]*\\n$`, 'm'));
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(status).toBe(1);
  });
});
