/** `bulkhead demo`, which `npm start` runs: the example file on loopback, with backends of its own, and what to try. */
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Document } from '../../config/document.ts';
import { BACKENDS, type RunningBackends, startBackends } from './backends.ts';
import { CommandError, EXIT, print } from './exit.ts';
import { loadGoodFile } from './loaded.ts';
import { firstBusy } from './ports.ts';
import { runUntilStopped } from './run.ts';

const FILE = fileURLToPath(new URL('../../config/bulkhead.yaml', import.meta.url));
/** Somebody who presses Ctrl-C in front of a demo does not want to wait for it. */
const DRAIN_MS = 1000;

/** Runs until Ctrl-C. An address in use ends it at once, with the address and what to do. */
export async function demo(): Promise<number> {
  const file = relative(process.cwd(), FILE);
  const document = loadGoodFile(file);
  await refuseBusy(document);
  const backends = await startDemoBackends();
  try {
    const { runNode } = await import('../node/run.ts');
    const onReady = (ready: { admin: string | null }) => print(...whatToTry(file, ready.admin));
    return await runUntilStopped(() => runNode({ file, drainMs: DRAIN_MS, workers: null, logLevel: 'warn', onReady }));
  } finally {
    backends.close();
  }
}

async function refuseBusy(document: Document): Promise<void> {
  const vips = document.applications.flatMap((application) => application.vips.map((vip) => vip.endpoint));
  const admin = document.process.admin;
  const busy = await firstBusy(admin === null ? vips : [...vips, admin]);
  if (busy !== null) throw notFree(busy.endpoint.text, busy.code);
}

async function startDemoBackends(): Promise<RunningBackends> {
  try {
    return await startBackends(BACKENDS);
  } catch (error) {
    const { address, port, code } = error as { address?: string; port?: number; code?: string };
    if (code === undefined) throw error;
    throw notFree(`${address}:${port}`, code);
  }
}

function notFree(address: string, code: string): CommandError {
  if (code !== 'EADDRINUSE') return new CommandError(`cannot listen on ${address} (${code})`, EXIT.no);
  const port = address.slice(address.lastIndexOf(':') + 1);
  return new CommandError(
    `${address} is in use, perhaps by another npm start: stop what listens there (ss -ltnp 'sport = :${port}' names it) and start again`,
    EXIT.no,
  );
}

/** Every command here is tried by a test, with the outcome that stands beside it. */
function whatToTry(file: string, admin: string | null): string[] {
  const web = 'http://127.0.0.1:8080';
  const tries: [string, string][] = [
    [`curl -i ${web}/`, 'allowed: 200, and a server says who it is and what it was sent'],
    [`curl -i ${web}/admin/x`, 'denied: 403 with a receipt, and no server was asked'],
    [`curl -i --interface 127.0.0.2 ${web}/admin/x`, 'allowed: 127.0.0.2 is in the segment office'],
    [`bash -c 'exec 3<>/dev/tcp/127.0.0.1/6432; echo hello >&3; head -n 1 <&3'`, 'a TCP flow: hello comes back'],
    ['curl --interface 127.0.0.7 telnet://127.0.0.1:6432', 'denied: the connection is reset, or curl says that it could not connect'],
    [`npm run -s bulkhead -- explain ${file} --from 127.0.0.7 --to 127.0.0.1:6432`, 'why it was denied'],
  ];
  if (admin !== null)
    tries.push(
      [`curl -s http://${admin}/metrics`, 'the counters of all that, for Prometheus'],
      [`http://${admin}/`, 'the status page, in a browser'],
    );
  return [
    '',
    `Bulkhead is running ${file}. Try, in another terminal:`,
    '',
    ...tries.flatMap(([command, outcome]) => [`  ${command}`, `      ${outcome}`]),
    '',
    `Edit ${file} and run "kill -HUP ${process.pid}" to apply it: flows that the new rules deny end at once.`,
    'Ctrl-C stops it.',
    '',
  ];
}
