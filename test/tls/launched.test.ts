/** What the launcher tells OpenSSL. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ROOT } from '../commands/bulkhead.ts';
import { freePort, until } from '../node/harness.ts';
import { Authority } from './authority.ts';
import { ask, dial, pairs, yamlOf } from './edge.ts';

it.each([
  ['one ticket to who begins a session anew, and one to who resumes it', '', [1, 1, 1]],
  ['what the file of OPENSSL_CONF says instead', 'NumTickets = 3', [3, 1, 1]],
] as const)('a launched node gives %s', async (_, setting, expected) => {
  const home = mkdtempSync(join(tmpdir(), 'bulkhead-launched-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const authority = new Authority();
  onTestFinished(() => authority.remove());
  const shop = authority.issue({ names: ['DNS:shop.example.com'] });
  const web = createServer((_request, response) => response.end('served')).listen(0, '127.0.0.1');
  onTestFinished(() => void web.close().closeAllConnections());
  await once(web, 'listening');
  const port = await freePort();
  const file = join(home, 'bulkhead.yaml');
  const words = { tls: `{ certificates: [${pairs(shop)}], alpn: [] }`, server: (web.address() as AddressInfo).port };
  writeFileSync(file, yamlOf(port, words).replace('process: {', 'process: { admin: off,'));
  const settings = join(home, 'openssl.cnf');
  writeFileSync(settings, `nodejs_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n${setting}\n`);
  const env = { ...process.env, OPENSSL_CONF: setting === '' ? '' : settings };
  const child = spawn('sh', [join(ROOT, 'proxy/runtime/bulkhead.sh'), 'run', file], { cwd: home, env });
  const gone = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await gone;
  });
  let told = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (told += bytes));
  await until(() => told.includes('ready') || child.exitCode !== null, 20_000);
  let session: Buffer | undefined;
  const counts: number[] = [];
  for (const resumed of [false, true, true]) {
    const socket = await dial(port, authority, { minVersion: 'TLSv1.3', ...(session === undefined ? {} : { session }) });
    let given = 0;
    socket.on('session', (newer: Buffer) => {
      session = newer;
      given++;
    });
    expect(socket.isSessionReused()).toBe(resumed);
    expect(await ask(socket)).toContain('served');
    counts.push(given);
  }
  expect(counts).toEqual(expected);
});
