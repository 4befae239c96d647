/** The admin endpoint over TLS: what it answers, whom it believes, and how its certificate is renewed under open connections. */
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AdminTls } from '../../config/document.ts';
import type { AdminError } from '../../proxy/admin/listen.ts';
import { type Admin, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import { until } from '../node/harness.ts';
import { withUnreadable } from '../node/unreadable.ts';
import { type Authority, makeAuthority } from './certificates.ts';
import { fakeNode, tcp } from './fake-node.ts';

const POLL_MS = 15;
const admins: Admin[] = [];
let authority: Authority;
let other: Authority;
let pair: AdminTls;
let trusted: string;

beforeAll(() => {
  authority = makeAuthority();
  other = makeAuthority();
  pair = authority.issue('first', 'DNS:admin.test,DNS:*.wild.test,IP:127.0.0.1');
  trusted = readFileSync(authority.ca, 'utf8');
});
afterEach(async () => {
  for (const admin of admins.splice(0)) await admin.close();
});
afterAll(() => Promise.all(admins.map((admin) => admin.close())));

async function opened(tls: AdminTls) {
  const said: string[] = [];
  const log = { info: note('info'), warn: note('warn'), error: note('error') };
  function note(level: string) {
    return (_: object, message: string) => void said.push(`${level}: ${message}`);
  }
  const admin = await openAdmin(tcp('127.0.0.1', 0), fakeNode().view, new History(), log, {
    orders: null,
    tokens: [],
    tls,
    pollMs: POLL_MS,
  });
  admins.push(admin);
  return { admin, port: admin.address().port!, said };
}

// Node would hold the certificate against the Host field, which is what some of these tests get wrong on purpose.
const checkServerIdentity = () => undefined;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** Of the certificate that was shown on this connection. */
  readonly serial: string;
}

function ask(port: number, path: string, more: { agent?: Agent; host?: string } = {}): Promise<Answer> {
  const answer = Promise.withResolvers<Answer>();
  const headers = { host: more.host ?? `127.0.0.1:${port}` };
  const words = {
    host: '127.0.0.1',
    port,
    path,
    ca: trusted,
    headers,
    ...(more.host === undefined ? {} : { checkServerIdentity }),
    agent: more.agent ?? false,
  };
  const request = get(words, (response: IncomingMessage) => {
    const socket = response.socket as TLSSocket;
    const serial = socket.getPeerX509Certificate()?.serialNumber ?? '';
    let body = '';
    response.on('data', (chunk: Buffer) => (body += chunk.toString()));
    response.on('end', () =>
      answer.resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body, serial }),
    );
  });
  request.on('error', answer.reject);
  return answer.promise;
}

/** A pair of files of their own, that a test may write over. */
function copied(name: string, from: AdminTls): AdminTls {
  const tls = { certificate: join(authority.folder, `${name}-copy.pem`), key: join(authority.folder, `${name}-copy.key`) };
  copyFileSync(from.certificate, tls.certificate);
  copyFileSync(from.key, tls.key);
  return tls;
}

/** As certbot and Kubernetes do it: another file takes the name. */
function replace(file: string, by: string): void {
  copyFileSync(by, `${file}.new`);
  renameSync(`${file}.new`, file);
}

describe('the admin endpoint with TLS', () => {
  it.each([
    ['/healthz', 'text/plain', /^alive/],
    ['/metrics', 'text/plain', /bulkhead_policy_generation 7/],
    ['/api/v1/status', 'application/json', /"node":"edge-1"/],
    ['/', 'text/html', /<!doctype html>/],
    ['/assets/page.js', 'text/javascript', /renew/],
  ])('answers %s', async (path, type, body) => {
    const { port } = await opened(pair);
    expect(await ask(port, path)).toMatchObject({ status: 200, type: expect.stringContaining(type), body: expect.stringMatching(body) });
  });

  it('answers nothing to who speaks plain HTTP, or knows only TLS 1.1', async () => {
    const { port } = await opened(pair);
    const plain = Promise.withResolvers<string>();
    httpGet({ host: '127.0.0.1', port, path: '/healthz', agent: false }, () => plain.resolve('an answer')).on('error', (error) =>
      plain.resolve(String((error as NodeJS.ErrnoException).code)),
    );
    expect(await plain.promise).toMatch(/ECONNRESET|EPIPE|HPE_INVALID/);
    const old = Promise.withResolvers<string>();
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: trusted,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    socket.on('secureConnect', () => old.resolve('a connection'));
    socket.on('error', (error) => old.resolve(String((error as NodeJS.ErrnoException).code)));
    expect(await old.promise).toMatch(/^ERR_SSL|ECONNRESET/);
    socket.destroy();
    expect(JSON.parse((await ask(port, '/api/v1/status')).body)).toMatchObject({ admin: { failed_handshakes: 2 } });
    const metrics = (await ask(port, '/metrics')).body;
    expect(metrics).toContain('bulkhead_admin_refusals_total{reason="handshake"} 2');
    expect(Number(/^bulkhead_admin_certificate_end_seconds (\d+)$/m.exec(metrics)![1])).toBeGreaterThan(Date.now() / 1000);
  });

  it.each([
    ['admin.test', 200],
    ['admin.test:9900', 200],
    ['x.wild.test', 200],
    ['localhost', 200],
    ['127.0.0.1', 200],
    ['stranger.test', 421],
    ['x.y.wild.test', 421],
  ])('takes the host %s: %i', async (host, status) => {
    const { port } = await opened(pair);
    expect((await ask(port, '/healthz', { host })).status).toBe(status);
  });

  it('takes up a renewed pair for new connections, and leaves the open ones alone', async () => {
    const tls = copied('renewed', pair);
    const { port, said } = await opened(tls);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const before = await ask(port, '/healthz', { agent });
    const next = authority.issue('second', 'IP:127.0.0.1');
    replace(tls.key, next.key);
    replace(tls.certificate, next.certificate);
    await expect
      .poll(() => said.join(), { timeout: 5_000, interval: 5 })
      .toContain('info: the certificate of the admin endpoint was read again');
    const kept = await ask(port, '/healthz', { agent });
    const fresh = await ask(port, '/healthz');
    agent.destroy();
    expect([before.status, kept.status, fresh.status]).toEqual([200, 200, 200]);
    expect(kept.serial).toBe(before.serial);
    expect(fresh.serial).not.toBe(before.serial);
  });

  it('keeps what it has while a pair is half written or wrong, says so once, and takes the good one that follows', async () => {
    const tls = copied('torn', pair);
    const { port, said } = await opened(tls);
    const next = authority.issue('third', 'IP:127.0.0.1');
    const { serial } = await ask(port, '/healthz');
    const complaints = () => said.filter((line) => line.startsWith('error:'));
    replace(tls.certificate, next.certificate);
    await expect.poll(complaints, { timeout: 5_000, interval: 5 }).toHaveLength(1);
    expect(complaints()[0]).toMatch(/process\.admin\.tls\.key: .*is the key of another certificate.*stays in use/);
    expect((await ask(port, '/healthz')).serial).toBe(serial);
    replace(tls.key, next.key);
    await expect.poll(() => said.at(-1), { timeout: 5_000, interval: 5 }).toContain('was read again');
    expect((await ask(port, '/healthz')).serial).not.toBe(serial);
    expect(complaints()).toHaveLength(1);
  });

  it('takes up a pair that could not be read at first as soon as it can be, though the files look the same; says so once', async () => {
    const tls = copied('shut', pair);
    const { port, said } = await opened(tls);
    const next = authority.issue('fourth', 'IP:127.0.0.1');
    const { serial } = await ask(port, '/healthz');
    const complaints = () => said.filter((line) => line.startsWith('error:'));
    renameSync(next.key, tls.key);
    renameSync(next.certificate, tls.certificate);
    await withUnreadable(tls.key, async () => {
      await until(() => complaints().length > 0);
      const from = performance.now();
      await until(() => performance.now() - from > 10 * POLL_MS);
    });
    await until(() => said.at(-1)!.includes('was read again'));
    expect((await ask(port, '/healthz')).serial).not.toBe(serial);
    expect(complaints()).toEqual([expect.stringMatching(/process\.admin\.tls\.key: .* cannot be read \(EACCES\)/)]);
  });

  it('warns of a certificate that ends soon', async () => {
    const { said } = await opened(authority.issue('ending', 'IP:127.0.0.1', 3));
    expect(said.join()).toMatch(/error: The certificate .*ending\.pem ends at 20/);
  });

  const bad = {
    missing: () => ({ certificate: join(authority.folder, 'none.pem'), key: pair.key }),
    'no certificate': () => ({ certificate: pair.key, key: pair.key }),
    'no key': () => ({ certificate: pair.certificate, key: pair.certificate }),
    'not its key': () => ({ certificate: pair.certificate, key: join(authority.folder, 'ca.key') }),
    'not PEM': () => {
      const file = join(authority.folder, 'noise.pem');
      writeFileSync(file, Buffer.alloc(4096, 7));
      return { certificate: file, key: pair.key };
    },
  };
  it.each([
    ['missing', 'certificate', /none\.pem cannot be read \(ENOENT\)/],
    ['no certificate', 'certificate', /holds no certificate in PEM/],
    ['no key', 'key', /holds no private key in PEM without a passphrase/],
    ['not its key', 'key', /is the key of another certificate than .*first\.pem/],
    ['not PEM', 'certificate', /holds no certificate in PEM/],
  ] as const)('does not open with a pair that is %s', async (what, part, says) => {
    const failure = (await opened(bad[what]()).catch((error: unknown) => error)) as AdminError;
    expect(failure).toMatchObject({ code: 'admin-tls-unusable', path: `/process/admin/tls/${part}` });
    expect(failure.message).toMatch(says);
  });

  it('is not believed by who trusts another authority', async () => {
    const { port } = await opened(pair);
    const stranger = readFileSync(other.ca, 'utf8');
    const answer = Promise.withResolvers<string>();
    get({ host: '127.0.0.1', port, ca: stranger, agent: false }, () => answer.resolve('an answer')).on('error', (error) =>
      answer.resolve(String((error as NodeJS.ErrnoException).code)),
    );
    expect(await answer.promise).toMatch(/UNABLE_TO_(GET_ISSUER|VERIFY)|SELF_SIGNED/);
  });
});
