/** The backends that every proxy has behind it, all on the load's core. The HTTP one is nginx: nothing at hand answers at less cost. */
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Launched, launch } from './launch.ts';
import { temporaryPaths } from './peers/nginx.ts';
import type { Backends } from './peers/peer.ts';
import { freePorts } from './ports.ts';

const READY_TIMEOUT_MS = 10_000;
const READY_POLL_MS = 30;
const BODY = 'Bulkhead carries this sixty-four-byte body from server to client';

export interface RunningBackends {
  readonly ports: Backends;
  stop(): Promise<void>;
}

export async function startBackends(folder: string): Promise<RunningBackends> {
  const [http, echo, bulk] = (await freePorts(3)) as [number, number, number];
  const file = join(folder, 'backend.conf');
  await writeFile(file, configuration(folder, http));
  const own = (program: string, port: number) =>
    launch('load', process.execPath, [fileURLToPath(new URL(`./load/${program}`, import.meta.url)), String(port)]);
  const launched = [
    await launch('load', 'nginx', ['-c', file, '-p', folder, '-e', 'stderr']),
    await own('echo.ts', echo),
    await own('bulk-source.ts', bulk),
  ];
  const stop = async () => {
    for (const each of launched) await each.stop();
  };
  try {
    for (const [i, port] of [http, echo, bulk].entries()) await untilListening(launched[i]!, port);
  } catch (error) {
    await stop();
    throw error;
  }
  return { ports: { http, echo, bulk }, stop };
}

async function untilListening(launched: Launched, port: number): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!(await accepts(port))) {
    const ended = launched.ended();
    if (ended !== null) throw new Error(`a backend ended: ${ended}: ${launched.tail()}`);
    if (performance.now() > deadline) throw new Error(`a backend did not listen within ${READY_TIMEOUT_MS} ms: ${launched.tail()}`);
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function configuration(folder: string, port: number): string {
  return `daemon off;
worker_processes 1;
pid ${folder}/backend.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
${temporaryPaths(folder)}
  access_log off;
  keepalive_timeout 10m;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    default_type text/plain;
    location / { return 200 "${BODY}"; }
  }
}
`;
}
