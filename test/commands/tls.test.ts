/** Commands over https: whose certificate they believe, and what they say when they do not. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Admin, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import { type Authority, makeAuthority } from '../admin/certificates.ts';
import { fakeNode, flow, tcp } from '../admin/fake-node.ts';
import { ended, startBulkhead } from './bulkhead.ts';

const RECEIPT = 'a1b2c3-0-00000001';
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

let authority: Authority;
let secure: Admin;
let plain: Admin;
let elsewhere: Admin;
let past: Admin;
let mute: Server;
const places: Record<string, string> = {};

beforeAll(async () => {
  authority = makeAuthority();
  const { view } = fakeNode({ ended: [flow(RECEIPT)] });
  const open = (tls: { certificate: string; key: string } | null) =>
    openAdmin(tcp('127.0.0.1', 0), view, new History(), silent, { orders: null, tokens: [], tls });
  secure = await open(authority.issue('here', 'IP:127.0.0.1,DNS:localhost'));
  elsewhere = await open(authority.issue('elsewhere', 'DNS:elsewhere.test'));
  past = await open(authority.issue('past', 'IP:127.0.0.1', -1));
  plain = await open(null);
  mute = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const of = (admin: Admin) => `127.0.0.1:${admin.address().port}`;
  const mutePort = (mute.address() as { port: number }).port;
  Object.assign(places, { here: of(secure), localhost: `localhost:${secure.address().port}`, elsewhere: of(elsewhere), past: of(past) });
  Object.assign(places, { plain: of(plain), mute: `127.0.0.1:${mutePort}`, ca: authority.ca, folder: authority.folder });
});
afterAll(async () => {
  for (const admin of [secure, plain, elsewhere, past]) await admin.close();
  mute.close();
});

/** `$here` in a word is the address of that endpoint. */
function run(words: string, env: NodeJS.ProcessEnv = {}) {
  const filled = words.replace(/\$([a-z]+)/g, (_, name: string) => places[name]!).split(' ');
  return ended(startBulkhead(filled, { BULKHEAD_CA: '', ...env }));
}

describe('a command over https', () => {
  it.each([
    [`explain ${RECEIPT} --admin https://$here --ca $ca`, {}],
    [`explain ${RECEIPT} --admin https://$localhost --ca $ca`, {}],
    [`explain ${RECEIPT} --admin https://$here`, { BULKHEAD_CA: '$ca' }],
    [`flows --ended --json --ca $ca`, { BULKHEAD_ADMIN: 'https://$here' }],
    ['flows --ended --admin http://$plain', { BULKHEAD_CA: '$ca' }],
  ])('%s answers (%o)', { concurrent: true }, async (words, env) => {
    const filled = Object.fromEntries(
      Object.entries(env).map(([key, value]) => [key, value.replace(/\$([a-z]+)/g, (_, name: string) => places[name]!)]),
    );
    const { status, stderr, stdout } = await run(words, filled);
    expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining('127.0.0.2:40000')]);
  });

  it.each([
    ['explain $receipt --admin https://$here', /nobody whom this machine trusts.*--ca/],
    ['explain $receipt --admin https://$elsewhere --ca $ca', /made out to other names than 127\.0\.0\.1 \(DNS:elsewhere\.test\)/],
    ['explain $receipt --admin https://$past --ca $ca', /does not hold today \(CERT_HAS_EXPIRED\)/],
    ['explain $receipt --admin https://$plain --ca $ca', /does not speak TLS.*write http:\/\//],
    ['explain $receipt --admin http://$here', /ended the connection without an answer.*write https:\/\//],
    ['status --admin https://$mute --ca $ca', /ended the connection without an answer \([A-Z_]+\)\n$/],
    ['status --admin http://$plain --ca $ca', /--ca goes with an https address/],
    ['status --admin https://$here --ca $folder/none.pem', /--ca .*none\.pem cannot be read \(ENOENT\)/],
    ['status --admin https://$here --ca $folder/ca.key', /--ca .*ca\.key holds no certificate in PEM/],
  ])('%s is refused in one line', { concurrent: true }, async (words, message) => {
    const { status, stdout, stderr } = await run(words.replace('$receipt', RECEIPT));
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^bulkhead: [^\n]+\n$/);
    expect([status, stdout]).toEqual([2, '']);
  });

  it('verifies though the environment says not to', async () => {
    const { status, stderr } = await run(`explain ${RECEIPT} --admin https://$here`, { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    expect([status, stderr]).toEqual([2, expect.stringContaining('nobody whom this machine trusts')]);
  });
});

describe('a file whose admin endpoint others can reach', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-reach-'));
  const write = (name: string, admin: string) => {
    const file = join(folder, name);
    writeFileSync(file, `version: 1\nprocess:\n  state: off\n  workers: 1\n  admin: ${admin}\n`);
    return file;
  };

  it('is refused by check without TLS, at its place', async () => {
    const { status, stdout, stderr } = await run(`check ${write('open.yaml', '{ listen: 0.0.0.0:9900 }')}`);
    expect([status, stdout + stderr]).toEqual([
      1,
      expect.stringMatching(/open\.yaml:5:20: error\[admin-without-tls\].*tls: \{ certificate/),
    ]);
  });

  it('does not start with a certificate that is not there, and says which', async () => {
    const file = write('missing.yaml', `{ listen: 127.0.0.1:0, tls: { certificate: ${folder}/none.pem, key: ${folder}/none.key } }`);
    const { status, stderr } = await run(`run ${file}`);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/bulkhead: process\.admin\.tls\.certificate: .*none\.pem cannot be read/)]);
  });
});
