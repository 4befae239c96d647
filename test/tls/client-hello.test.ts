import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DECODE_ERROR, ILLEGAL_PARAMETER, PROTOCOL_VERSION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE } from '../../proxy/tls/alert.ts';
import { CLIENT_HELLO_RAW_BYTES_MAX, HelloReader } from '../../proxy/tls/client-hello.ts';
import type { Abilities, ClientHello } from '../../proxy/tls/hello.ts';
import { CLIENT_HELLO_BYTES_MAX } from '../../proxy/tls/hello-message.ts';
import { ja4Of } from '../../proxy/tls/ja4.ts';
import { block, extension, hello, list, nameOf, recut } from './hellos.ts';

/** Hellos of real clients, as they came. */
const real = new Map<string, Buffer>();

beforeAll(async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const take = async (name: string, begin: () => void) => {
    const come = once(server, 'connection');
    begin();
    const [socket] = (await come) as [import('node:net').Socket];
    socket.on('error', () => undefined);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    real.set(name, bytes);
    socket.destroy();
  };
  const node = (options: ConnectionOptions) => () => connect({ port, host: '127.0.0.1', ...options }).on('error', () => undefined);
  const program =
    (name: string, ...words: string[]) =>
    () =>
      spawn(name, words, { stdio: 'ignore' }).on('error', () => undefined);
  await take('node', node({ servername: 'Shop.Example.COM', ALPNProtocols: ['h2', 'http/1.1'] }));
  await take('node without a name', node({ servername: '' }));
  await take('node under TLS 1.2', node({ servername: 'a.b', maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' }));
  await take('curl', program('curl', '-sk', `https://localhost:${port}`));
  await take(
    'openssl',
    program('openssl', 's_client', '-connect', `127.0.0.1:${port}`, '-servername', 'xn--bcher-kva.example', '-alpn', 'imap'),
  );
  server.close();
});

function read(bytes: Buffer, cuts: readonly number[] = []): ReturnType<HelloReader['push']> {
  const reader = new HelloReader();
  let answer: ReturnType<HelloReader['push']> = { kind: 'more' };
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    answer = reader.push(bytes, from, cut);
    from = cut;
  }
  return answer;
}

function helloOf(bytes: Buffer): ClientHello {
  const reading = read(bytes);
  if (reading.kind !== 'hello') throw new Error(JSON.stringify(reading));
  return reading.hello;
}

describe('real clients', () => {
  it('say what they were told to say', () => {
    expect(helloOf(real.get('node')!)).toMatchObject({ sni: 'shop.example.com', alpn: ['h2', 'http/1.1'], versions: [0x304, 0x303] });
    expect(helloOf(real.get('node without a name')!)).toMatchObject({ sni: null, alpn: [] });
    expect(helloOf(real.get('node under TLS 1.2')!)).toMatchObject({ sni: 'a.b', versions: [], ciphers: [0xc02f] });
    expect(helloOf(real.get('curl')!)).toMatchObject({ sni: 'localhost' });
    expect(helloOf(real.get('openssl')!)).toMatchObject({ sni: 'xn--bcher-kva.example', alpn: ['imap'] });
  });

  it('mean the same split at every byte, and in records of every size', () => {
    for (const [name, bytes] of real) {
      const whole = read(bytes);
      for (let cut = 1; cut < bytes.length; cut++) expect(read(bytes, [cut]), `${name} at ${cut}`).toEqual(whole);
      for (const size of [1, 2, 3, 4, 5, 100, 255]) {
        const pieces = recut(bytes, size);
        expect(read(pieces), `${name} in records of ${size}`).toEqual(whole);
        expect(read(pieces, [...pieces.keys()]), `${name} in records of ${size}, byte by byte`).toEqual(whole);
      }
      for (let cut = 0; cut < bytes.length; cut++) expect(read(bytes.subarray(0, cut)).kind, name).toBe('more');
    }
  });
});

describe('JA4', () => {
  const CHROME = {
    ciphers: '1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035',
    extensions: '001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015',
    signatures: '0403,0804,0401,0503,0805,0501,0806,0601',
  };
  const hex = (text: string) => (text === '' ? [] : text.split(',').map((part) => Number.parseInt(part, 16)));
  const of = (more: Partial<Abilities>): Abilities => ({
    legacyVersion: 0x303,
    versions: [0x304, 0x303],
    ciphers: hex(CHROME.ciphers),
    extensions: hex(CHROME.extensions),
    signatures: hex(CHROME.signatures),
    alpn: ['h2'],
    firstAlpn: Buffer.from('h2'),
    ...more,
  });

  const table: readonly { what: string; hello: Partial<Abilities>; ja4: string | RegExp }[] = [
    { what: 'the example of its specification', hello: {}, ja4: 't13d1516h2_8daaf6152771_e5627efa2ab1' },
    { what: 'no name, no protocols', hello: { extensions: hex('000d,002b'), firstAlpn: null }, ja4: /^t13i150200_8daaf6152771_/ },
    { what: 'TLS 1.2 by its version alone', hello: { versions: [] }, ja4: /^t12d1516h2_/ },
    { what: 'a version that nobody knows', hello: { versions: [0x7f1c] }, ja4: /^t00d/ },
    {
      what: 'nothing at all',
      hello: { ciphers: [], extensions: [], firstAlpn: null, versions: [] },
      ja4: 't12i000000_000000000000_000000000000',
    },
    { what: 'more than ninety-nine', hello: { ciphers: Array.from({ length: 120 }, (_, i) => i) }, ja4: /^t13d9916h2_/ },
    { what: 'a protocol of one letter', hello: { firstAlpn: Buffer.from('h') }, ja4: /^t13d1516hh_/ },
    { what: 'a protocol of bytes', hello: { firstAlpn: Buffer.from([0xab, 0x30, 0xcd]) }, ja4: /^t13d1516ad_/ },
    { what: 'http/1.1', hello: { firstAlpn: Buffer.from('http/1.1') }, ja4: /^t13d1516h1_/ },
  ];
  for (const { what, hello: more, ja4 } of table) it(`of ${what}`, () => expect(ja4Of(of(more))).toMatch(ja4));

  it('of curl and OpenSSL, as others have published it', () => {
    expect(ja4Of(helloOf(real.get('curl')!))).toBe('t13d3112h2_e8f1e7e78f70_b26ce05bbdd6');
  });

  it('is the same for any order of ciphers and extensions, and with GREASE', () => {
    const plain = of({});
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...plain.ciphers], { minLength: 15 }),
        fc.shuffledSubarray([...plain.extensions], { minLength: 16 }),
        (ciphers, extensions) => {
          expect(ja4Of({ ...plain, ciphers, extensions })).toBe(ja4Of(plain));
        },
      ),
    );
    const parts = [nameOf('a.b'), extension(13, block(2, list(0x0403)))];
    const grease = [
      extension(0x1a1a, Buffer.alloc(0)),
      nameOf('a.b'),
      extension(13, block(2, list(0x2a2a, 0x0403))),
      extension(0xfafa, Buffer.from([0])),
    ];
    expect(ja4Of(helloOf(hello({ ciphers: [0x0a0a, 0x1301], extensions: grease })))).toBe(ja4Of(helloOf(hello({ extensions: parts }))));
  });
});

describe('hostile hellos', () => {
  const table: readonly { what: string; bytes: Buffer; answer: string; alert: number | null }[] = [
    { what: 'HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\n'), answer: 'not-tls', alert: null },
    { what: 'an alert', bytes: Buffer.from([21, 3, 3, 0, 2, 2, 40]), answer: 'not-tls', alert: null },
    { what: 'another major version', bytes: Buffer.from([22, 2, 0]), answer: 'not-tls', alert: PROTOCOL_VERSION },
    { what: 'an empty record', bytes: Buffer.from([22, 3, 1, 0, 0]), answer: 'malformed', alert: UNEXPECTED_MESSAGE },
    { what: 'a record that is too long', bytes: Buffer.from([22, 3, 1, 0x40, 1]), answer: 'malformed', alert: RECORD_OVERFLOW },
    { what: 'a server hello', bytes: Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]), answer: 'malformed', alert: UNEXPECTED_MESSAGE },
    {
      what: 'a message that is too long',
      bytes: Buffer.from([22, 3, 1, 0, 4, 1, 0, 0x40, 1]),
      answer: 'too-long',
      alert: ILLEGAL_PARAMETER,
    },
    {
      what: 'another record in between',
      bytes: Buffer.from([22, 3, 1, 0, 1, 1, 23, 3, 3]),
      answer: 'malformed',
      alert: UNEXPECTED_MESSAGE,
    },
    {
      what: 'half a cipher',
      bytes: hello({ tail: Buffer.alloc(0) }).fill(0x01, 5 + 4 + 2 + 32 + 33 + 1, 5 + 4 + 2 + 32 + 33 + 2),
      answer: 'malformed',
      alert: DECODE_ERROR,
    },
    { what: 'no compression at all', bytes: hello({ compressions: Buffer.alloc(0) }), answer: 'malformed', alert: DECODE_ERROR },
    { what: 'bytes behind the end', bytes: hello({ tail: Buffer.from([0]) }), answer: 'malformed', alert: DECODE_ERROR },
    {
      what: 'an extension twice',
      bytes: hello({ extensions: [extension(5, Buffer.alloc(0)), extension(5, Buffer.alloc(0))] }),
      answer: 'malformed',
      alert: ILLEGAL_PARAMETER,
    },
    {
      what: 'an extension over the end',
      bytes: hello({ extensions: [Buffer.from([0, 9, 0, 5, 1])] }),
      answer: 'malformed',
      alert: DECODE_ERROR,
    },
    { what: 'a name with NUL', bytes: hello({ extensions: [nameOf('a.b\0.c')] }), answer: 'malformed', alert: ILLEGAL_PARAMETER },
    { what: 'a name with a slash', bytes: hello({ extensions: [nameOf('a/b')] }), answer: 'malformed', alert: ILLEGAL_PARAMETER },
    {
      what: 'two names',
      bytes: hello({ extensions: [extension(0, block(2, ...['a', 'b'].map((name) => Buffer.from([0, 0, 1, name.charCodeAt(0)]))))] }),
      answer: 'malformed',
      alert: ILLEGAL_PARAMETER,
    },
    { what: 'a name of nothing', bytes: hello({ extensions: [nameOf('')] }), answer: 'malformed', alert: DECODE_ERROR },
    {
      what: 'a name of 300 letters',
      bytes: hello({ extensions: [nameOf('a.'.repeat(150))] }),
      answer: 'malformed',
      alert: ILLEGAL_PARAMETER,
    },
    { what: 'no name in the list', bytes: hello({ extensions: [extension(0, block(2))] }), answer: 'malformed', alert: DECODE_ERROR },
    {
      what: 'a protocol of nothing',
      bytes: hello({ extensions: [extension(16, block(2, Buffer.from([0])))] }),
      answer: 'malformed',
      alert: DECODE_ERROR,
    },
  ];
  for (const { what, bytes, answer, alert } of table)
    it(`${what}: ${answer}`, () => {
      expect(read(bytes)).toEqual({ kind: 'fault', fault: answer, alert });
      expect(read(bytes, [...bytes.keys()])).toEqual({ kind: 'fault', fault: answer, alert });
    });

  it('a dot at the end and capitals are no other name', () => {
    expect(helloOf(hello({ extensions: [nameOf('Shop.Example.com.')] })).sni).toBe('shop.example.com');
  });

  it('of many kinds, or of kinds that take much to tell, are not kept', () => {
    const ciphers = (many: number, first = 1) => hello({ ciphers: Array.from({ length: many }, (_, i) => first + i) });
    const lists = (bytes: Buffer) => [helloOf(bytes).ciphers, helloOf(bytes).ciphers] as const;
    expect(new Set(lists(ciphers(100))).size).toBe(1);
    expect(new Set(lists(ciphers(600))).size).toBe(2);
    const { ciphers: kept } = helloOf(ciphers(100));
    for (let i = 0; i < 1_000; i++) helloOf(ciphers(2, 100 + i));
    expect(helloOf(ciphers(100)).ciphers).not.toBe(kept);
  });

  it('is held to its bounds in records of one byte', () => {
    const endless = Buffer.concat(
      Array.from({ length: CLIENT_HELLO_BYTES_MAX }, (_, i) => Buffer.from([22, 3, 1, 0, 1, i === 0 ? 1 : i === 2 ? 0x3f : 0])),
    );
    const reader = new HelloReader();
    let at = 0;
    while (reader.push(endless, at, at + 1).kind === 'more') at++;
    expect(at).toBeLessThanOrEqual(CLIENT_HELLO_RAW_BYTES_MAX + 1);
  });

  it('never throws, and means the same however it is cut', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      // A real hello with a few bytes changed comes further than noise.
      fc
        .tuple(fc.constantFrom('node', 'curl', 'openssl'), fc.array(fc.tuple(fc.nat(1_000), fc.nat(255)), { maxLength: 4 }))
        .map(([name, changes]) => {
          const copy = Buffer.from(real.get(name)!);
          for (const [at, value] of changes) copy[at % copy.length] = value;
          return copy;
        }),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(600), { maxLength: 5 }), (given, at) => {
        const all = Buffer.from(given);
        const cuts = at.filter((cut) => cut < all.length).sort((a, b) => a - b);
        expect(read(all, cuts)).toEqual(read(all));
      }),
      { numRuns: 2_000 },
    );
  });
});

afterAll(() => real.clear());
