/** `bulkhead demo`, which `npm start` runs: the example file on loopback, with backends of its own, and what to try. */
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AdminToken, Document } from '../../config/document.ts';
import { BACKENDS, type RunningBackends, startBackends } from './backends.ts';
import { CommandError, EXIT, print } from './exit.ts';
import { loadGoodFile } from './loaded.ts';
import { firstBusy } from './ports.ts';
import { runUntilStopped } from './run.ts';
import { hashOf, newToken } from './token.ts';

const FILE = fileURLToPath(new URL('../../config/bulkhead.yaml', import.meta.url));
/** Somebody who presses Ctrl-C in front of a demo does not want to wait for it. */
const DRAIN_MS = 1000;
/** A change of the file that its own tests allow, and that an open flow can feel. */
const EDIT = { from: 'from: [web, office]', to: 'from: [web]' } as const;
const EDITED_FILE = '/tmp/bulkhead-demo.yaml';

/** Runs until Ctrl-C. An address in use ends it at once, with the address and what to do. */
export async function demo(): Promise<number> {
  const file = relative(process.cwd(), FILE);
  const document = loadGoodFile(file);
  await refuseBusy(document);
  const backends = await startDemoBackends();
  try {
    const { runNode } = await import('../node/run.ts');
    // For this run alone: it is printed where the demo was started, and nothing keeps it.
    const secret = newToken();
    const token: AdminToken = { name: 'demo', role: 'admin', sha256: hashOf(secret) };
    const onReady = (ready: { admin: string | null }) => print(...whatToTry(file, ready.admin, secret));
    const options = { file, drainMs: DRAIN_MS, workers: null, logLevel: 'warn', tokens: [token], onReady } as const;
    return await runUntilStopped(() => runNode(options));
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

/** Every command here is tried by a test, in this order and with the outcome that stands beside it. */
function whatToTry(file: string, admin: string | null, secret: string): string[] {
  const web = 'http://127.0.0.1:8080';
  const bulkhead = 'npm run -s bulkhead --';
  const tries: Try[] = [
    [`curl -i ${web}/`, 'allowed: 200, and a server says who it is and what it was sent'],
    [`curl -i ${web}/admin/x`, 'denied: 403 with a receipt, and no server was asked'],
    [`curl -i --interface 127.0.0.2 ${web}/admin/x`, 'allowed: 127.0.0.2 is in the segment office'],
    [`bash -c 'exec 3<>/dev/tcp/127.0.0.1/6432; echo hello >&3; head -n 1 <&3'`, 'a TCP flow: hello comes back'],
    ['curl --interface 127.0.0.7 telnet://127.0.0.1:6432', 'denied: the connection is reset, or curl says that it could not connect'],
    [`${bulkhead} explain ${file} --from 127.0.0.7 --to 127.0.0.1:6432`, 'why it was denied'],
  ];
  const orders: Try[] = [
    [`${bulkhead} quarantine 127.0.0.2 --for 10m --reason "a demo"`, 'an order: 127.0.0.2 is cut off, whatever the rules say'],
    [`${bulkhead} release 127.0.0.2`, 'an order: it is let back in'],
    [`${bulkhead} server drain web/127.0.0.1:9003`, 'an order: the server takes no new flows'],
    [`${bulkhead} server up web/127.0.0.1:9003`, 'an order: it takes them again'],
    [
      `sed 's/${EDIT.from.replaceAll(/[[\]]/g, '\\$&')}/${EDIT.to}/' ${file} > ${EDITED_FILE}; ${bulkhead} apply ${EDITED_FILE} --dry-run`,
      'a dry run: what it would mean to take the office out of the rule web-tier; nothing changes',
    ],
    [`${bulkhead} apply ${EDITED_FILE} --note "no office"`, 'an order: now it is so, and open flows from the office have ended'],
    [`${bulkhead} rollback`, 'an order: it is as it was'],
  ];
  return [
    '',
    `Bulkhead is running ${file}. Try, in another terminal:`,
    '',
    ...linesOf(tries),
    ...(admin === null ? [] : onAdmin(admin, secret, orders)),
    '',
    ...reloading(file),
    'Ctrl-C stops it.',
    '',
  ];
}

type Try = readonly [command: string, outcome: string];

function linesOf(tries: readonly Try[]): string[] {
  return tries.flatMap(([command, outcome]) => [`  ${command}`, `      ${outcome}`]);
}

function onAdmin(admin: string, secret: string, orders: readonly Try[]): string[] {
  return [
    ...linesOf([
      [`curl -s http://${admin}/metrics`, 'the counters of all that, for Prometheus'],
      [`http://${admin}/`, 'the status page, in a browser'],
    ]),
    '',
    'Orders take a token. This one is for this run alone:',
    '',
    `  export BULKHEAD_ADMIN=http://${admin} BULKHEAD_TOKEN=${secret}`,
    ...linesOf(orders),
  ];
}

/** Which edit to make: the most obvious ones are refused by the tests in the file, as they should be. */
function reloading(file: string): string[] {
  const apply = `run "kill -HUP ${process.pid}" to apply it`;
  const line = readFileSync(FILE, 'utf8')
    .split('\n')
    .findIndex((text) => text.includes(EDIT.from));
  if (line < 0) return [`Edit ${file} and ${apply}: flows that the new rules deny end at once.`];
  return [
    `Or edit the file: in ${file}:${line + 1} write "${EDIT.to}" in place of "${EDIT.from}", and ${apply}:`,
    'a connection from 127.0.0.2 to 127.0.0.1:6432 that is open then ends at once. An edit that the tests at the end of the file do not',
    'allow is refused, with the line of the test; change the test with the rule.',
  ];
}
