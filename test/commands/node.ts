/** A node as people run it, in a process of its own, for the commands that speak to one. */
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from '../node/harness.ts';
import { bulkhead, type Ended, ended, startBulkhead } from './bulkhead.ts';

export const SECRET = 'bh_commands';

export interface NodeProcess {
  readonly folder: string;
  readonly file: string;
  readonly port: number;
  /** What `--admin` takes. */
  readonly admin: string;
  /** The text of a file for this node. */
  text(rules: string): string;
  /** Writes such a file and answers its path. */
  write(name: string, rules: string): string;
  /** Runs a command against it. */
  run(...words: string[]): Promise<Ended>;
  /** Sends a signal that ends it, and waits for the end. */
  kill(signal: NodeJS.Signals): Promise<Ended>;
  /** Has it read its file again. */
  reload(): void;
  start(): Promise<void>;
}

/** `over` says where the admin endpoint is: a unix socket, or the network with a token. */
export async function startNodeProcess(over: 'unix' | 'network', server: number): Promise<NodeProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-node-'));
  const port = await freePort();
  const adminPort = await freePort();
  const listen = over === 'unix' ? `unix:${folder}/admin.sock` : `127.0.0.1:${adminPort}`;
  const admin = over === 'unix' ? listen : `http://${listen}`;
  const hash = createHash('sha256').update(SECRET).digest('hex');
  writeFileSync(join(folder, 'token'), `${SECRET}\n`);
  const text = (rules: string) => `version: 1
process:
  workers: 1
  state: ${folder}/state
  admin: { listen: "${listen}", tokens: [{ name: ana, role: admin, hash: "sha256:${hash}" }] }
segments: { office: { addresses: [127.0.0.2/32] } }
pools: { echo: { servers: [127.0.0.1:${server}] } }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [${rules}] }
`;
  const write = (name: string, rules: string) => {
    writeFileSync(join(folder, name), text(rules));
    return join(folder, name);
  };
  const file = write('bulkhead.yaml', '{ name: all, action: allow }');
  let child: ReturnType<typeof startBulkhead>;
  let end: Promise<Ended>;
  const where = ['--admin', admin, ...(over === 'unix' ? [] : ['--token-file', join(folder, 'token')])];
  const run = (...words: string[]) => bulkhead([...words, ...where]);
  const start = async () => {
    child = startBulkhead(['run', file, '--drain', '1s']);
    let log = '';
    child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
    end = ended(child);
    await until(() => {
      if (child.exitCode !== null) throw new Error(`the node has ended: ${log}`);
      return log.includes('"ready"');
    }, 15_000);
  };
  await start();
  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return end;
  };
  const reload = () => void child.kill('SIGHUP');
  return { folder, file, port, admin, text, write, run, kill, reload, start };
}
