/** What scanners see of an application whose `tls:` names nothing but certificates. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lacks, peer } from '../real/programs.ts';
import { Authority } from './authority.ts';
import { type Edge, pairs, startEdge } from './edge.ts';

const run = promisify(execFile);

let authority: Authority;
let web: Server;
let edge: Edge;

beforeAll(async () => {
  authority = new Authority();
  web = createServer((_request, response) => response.end('served'));
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const names = ['DNS:shop.example.com', 'IP:127.0.0.1'];
  const chained = authority.issue({ names });
  // As authorities hand them out: the certificate, then those that lead to one that is believed.
  writeFileSync(chained.certificate, readFileSync(chained.certificate, 'latin1') + readFileSync(authority.ca, 'latin1'));
  const { port } = web.address() as AddressInfo;
  edge = await startEdge({ tls: `{ certificates: [${pairs(chained, authority.issue({ names, kind: 'rsa' }))}] }`, server: port });
});

afterAll(async () => {
  await edge.at.stop();
  web.close();
  web.closeAllConnections();
  authority.remove();
});

/** Attributes of each element of that name. */
function elements(xml: string, name: string): Record<string, string>[] {
  return [...xml.matchAll(new RegExp(`<${name} ([^>]*?)/?>`, 'g'))].map(([, attributes]) =>
    Object.fromEntries([...attributes!.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key, value])),
  );
}

/** What openssl s_client prints, whether it got through or not. */
async function client(...words: readonly string[]): Promise<string> {
  const settled = run(peer('openssl'), ['s_client', '-connect', `127.0.0.1:${edge.port}`, '-servername', 'shop.example.com', ...words], {
    timeout: 5_000,
  });
  settled.child.stdin!.end();
  return settled.then(
    ({ stdout, stderr }) => stdout + stderr,
    (error: { stdout: string; stderr: string }) => error.stdout + error.stderr,
  );
}

describe.skipIf(lacks('sslscan'))('sslscan', () => {
  let xml = '';

  beforeAll(async () => {
    ({ stdout: xml } = await run(peer('sslscan'), ['--xml=-', '--no-colour', '--show-certificate', `127.0.0.1:${edge.port}`], {
      timeout: 30_000,
    }));
  });

  it('finds TLS 1.2 and 1.3, and nothing older', () => {
    const enabled = elements(xml, 'protocol').filter((one) => one.enabled === '1');
    expect(enabled.map(({ type, version }) => `${type} ${version}`)).toEqual(['tls 1.2', 'tls 1.3']);
  });

  it('finds ciphers with forward secrecy and authenticated encryption alone', () => {
    const suites = elements(xml, 'cipher');
    expect(suites.length).toBeGreaterThanOrEqual(6);
    for (const { sslversion, cipher, strength, bits } of suites) {
      expect(cipher).toMatch(
        sslversion === 'TLSv1.3' ? /^TLS_(?:AES_\d+_GCM|CHACHA20_POLY1305)/ : /^ECDHE-(?:ECDSA|RSA)-(?:AES\d+-GCM|CHACHA20)/,
      );
      expect(['acceptable', 'strong'], cipher).toContain(strength);
      expect(Number(bits)).toBeGreaterThanOrEqual(128);
    }
  });

  it('finds no curve below 128 bits', () => {
    const groups = elements(xml, 'group');
    expect(groups.map(({ name }) => name)).toContain('x25519');
    for (const { name, bits } of groups) expect(Number(bits), name).toBeGreaterThanOrEqual(128);
  });

  it('finds no renegotiation, no compression and no Heartbleed', () => {
    expect(elements(xml, 'renegotiation')).toEqual([{ supported: '0', secure: '0' }]);
    for (const { supported } of elements(xml, 'compression')) expect(supported).toBe('0');
    for (const { sslversion, vulnerable } of elements(xml, 'heartbleed')) expect(vulnerable, sslversion).toBe('0');
  });
});

describe.skipIf(lacks('openssl'))('openssl', () => {
  const table: readonly { what: string; words: readonly string[]; says: RegExp }[] = [
    { what: 'TLS 1.3 is taken first', words: [], says: /New, TLSv1\.3, Cipher is TLS_AES_128_GCM_SHA256/ },
    { what: 'TLS 1.2 is there', words: ['-tls1_2'], says: /New, TLSv1\.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256/ },
    {
      what: 'RSA for those who know nothing else',
      words: ['-tls1_2', '-cipher', 'aRSA'],
      says: /Cipher is ECDHE-RSA-AES128-GCM-SHA256/,
    },
    { what: 'nothing below', words: ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'], says: /alert protocol version|no protocols available/ },
    { what: 'no RSA key exchange', words: ['-tls1_2', '-cipher', 'kRSA'], says: /alert handshake failure/ },
    { what: 'no CBC', words: ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA'], says: /alert handshake failure/ },
    { what: 'no finite fields', words: ['-tls1_2', '-cipher', 'kDHE'], says: /alert handshake failure/ },
    { what: 'no small curve', words: ['-groups', 'secp224r1', '-tls1_2'], says: /alert handshake failure/ },
    { what: 'no fallback that was not needed', words: ['-fallback_scsv', '-tls1_2'], says: /alert inappropriate fallback/ },
    { what: 'no compression', words: ['-tls1_2', '-comp'], says: /Compression: NONE/ },
    { what: 'a ticket', words: ['-tls1_2'], says: /TLS session ticket lifetime hint: \d+ \(seconds\)/ },
    { what: 'extended master secret', words: ['-tls1_2'], says: /Extended master secret: yes/ },
    {
      what: 'secure renegotiation is known, so that nobody can begin one in between',
      words: ['-tls1_2'],
      says: /Secure Renegotiation IS supported/,
    },
    { what: 'no protocol that neither side has named', words: ['-alpn', 'imap'], says: /alert no application protocol/ },
    {
      what: 'the chain in its order',
      words: ['-showcerts'],
      says: /0 s:CN = test\n\s+i:CN = Test Authority[\s\S]* 1 s:CN = Test Authority/,
    },
  ];
  for (const { what, words, says } of table) it(what, async () => expect(await client(...words)).toMatch(says));

  it('the chain leads to the authority', async () => {
    expect(await client('-CAfile', authority.ca, '-verify_hostname', 'shop.example.com')).toContain('Verify return code: 0 (ok)');
  });
});
