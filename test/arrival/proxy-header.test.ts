import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { crc32c } from '../../proxy/arrival/crc32c.ts';
import { NO_FACTS, type ProxiedEnds, type ProxiedFacts, type ProxyReading } from '../../proxy/arrival/proxied.ts';
import { writeBinary } from '../../proxy/arrival/proxy-binary.ts';
import { readProxyHeader } from '../../proxy/arrival/proxy-header.ts';
import { writeText } from '../../proxy/arrival/proxy-text.ts';
import { BINARY, bytesOf, described, LINES, SIGNATURE, tlv, v2 } from './headers.ts';

const BYTES_MAX = 4_096;
const read = (bytes: Uint8Array, length = bytes.length) => readProxyHeader(bytes, length, BYTES_MAX);

function said(reading: ProxyReading): string {
  if (reading.kind !== 'header') return reading.kind === 'more' ? 'more' : reading.fault;
  return `${described(reading.header)} @${reading.end}`;
}

describe('a line of version 1', () => {
  it.each(LINES)('%s', (_what, line, says) => {
    const bytes = Buffer.from(line, 'latin1');
    const expected = says.startsWith('v1') ? `${says} @${bytes.length}` : says;
    expect(said(read(bytes))).toBe(expected);
    // What follows is the client's.
    expect(said(read(Buffer.concat([bytes, Buffer.alloc(500, 'x\r\n')])))).toBe(expected);
  });

  it('may have 107 bytes', () => {
    const line = Buffer.from(`PROXY UNKNOWN ${'a'.repeat(91)}\r\n`);
    expect([line.length, said(read(line))]).toEqual([107, 'v1 nobody @107']);
  });
});

describe('a header of version 2', () => {
  it.each(BINARY)('$what', ({ bytes, says }) => {
    const size = 16 + bytes.readUInt16BE(14);
    const expected = says.startsWith('v2') ? `${says} @${size}` : says;
    expect(said(read(bytes))).toBe(expected);
    expect(said(read(Buffer.concat([bytes, Buffer.alloc(500, SIGNATURE)])))).toBe(expected);
  });

  it('is refused as soon as it says that it is longer than the bound', () => {
    const head = Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0x10, 0x00])]);
    expect(said(read(head))).toBe('too long');
    const most = v2(0x21, 0x11, Buffer.concat([bytesOf('192.0.2.1 198.51.100.2 1 2'), tlv(4, Buffer.alloc(4_080 - 15))]));
    expect([most.length, said(read(most))]).toEqual([4_096, 'v2 192.0.2.1:1 > 198.51.100.2:2 @4096']);
  });
});

describe('any header', () => {
  const all = [...LINES.map(([, line]) => Buffer.from(line, 'latin1')), ...BINARY.map(({ bytes }) => bytes)];

  it('is the same however it is cut, and waits only while it could still be one', () => {
    for (const bytes of all) {
      const whole = said(read(bytes));
      let decided = false;
      for (let length = 0; length <= bytes.length; length++) {
        // Memory behind the length belongs to somebody else.
        const part = Buffer.concat([bytes.subarray(0, length), Buffer.alloc(64, 0xee)]);
        const answer = said(read(part, length));
        if (answer === 'more') expect(decided).toBe(false);
        else {
          decided = true;
          expect(answer).toBe(whole);
        }
      }
      expect(decided).toBe(true);
    }
  });

  it('never throws, whatever the bytes', () => {
    const start = fc.constantFrom(...all.map((bytes) => new Uint8Array(bytes)), new Uint8Array(0));
    fc.assert(
      fc.property(start, fc.nat(200), fc.uint8Array({ maxLength: 300 }), fc.nat(300), (first, keep, rest, at) => {
        const bytes = Buffer.concat([first.subarray(0, keep), rest]);
        if (bytes.length > 0) bytes[at % bytes.length] = at & 0xff;
        const reading = read(bytes);
        if (reading.kind === 'header') expect(reading.end).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 5_000 },
    );
  });

  it('any one bit turned in a sealed header is noticed, or is in bytes that a reader must not look at', () => {
    const sealed = writeBinary(false, endsOf('192.0.2.1', '198.51.100.2', 1, 2), { ...NO_FACTS, authority: 'example.com' }, true);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const turned = Buffer.from(sealed);
      turned[bit >> 3] = turned[bit >> 3]! ^ (1 << (bit & 7));
      const reading = read(turned);
      if (reading.kind !== 'header') continue;
      // LOCAL and UNSPEC say nothing of the client; a checksum that is no longer said to be one seals nothing.
      const typeOfSeal = turned[sealed.length - 7];
      expect(reading.header.ends === null || typeOfSeal !== 3, `bit ${bit}`).toBe(true);
    }
  });
});

function endsOf(source: string, destination: string, from: number, to: number): ProxiedEnds {
  return {
    kind: 'tcp',
    source: { address: parseAddress(source)!, port: from },
    destination: { address: parseAddress(destination)!, port: to },
  };
}

const port = fc.nat(65_535);
const word = fc.nat(0xffffffff);
const v4 = fc.ipV4();
const v6 = fc
  .tuple(word, word, word, word)
  .filter(([a, b, c]) => a !== 0 || b !== 0 || c !== 0xffff)
  .map((words) => words.map((each) => [each >>> 16, each & 0xffff].map((group) => group.toString(16)).join(':')).join(':'));
const tcpEnds = fc.oneof(
  fc.tuple(v4, v4, port, port).map((parts) => endsOf(...parts)),
  fc.tuple(v6, v6, port, port).map((parts) => endsOf(...parts)),
);
const latin = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8}){0,3}$/);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const tls = fc
  .record({ version: maybe(latin(20)), cipher: maybe(latin(20)), commonName: maybe(fc.string({ unit: 'grapheme', maxLength: 20 })) })
  .chain((rest) =>
    fc
      .constantFrom([false, false, false], [true, false, false], [true, true, false], [true, true, true])
      .map(([encrypted, certificate, verified]) => ({
        encrypted: encrypted!,
        certificate: certificate!,
        verified: verified!,
        ...rest,
      })),
  );
const facts: fc.Arbitrary<ProxiedFacts> = fc.record({
  alpn: maybe(latin(30)),
  authority: maybe(name),
  uniqueId: maybe(fc.uint8Array({ maxLength: 128 }).map((bytes) => Buffer.from(bytes))),
  netns: maybe(latin(30)),
  ssl: maybe(tls),
});
const path = fc.uint8Array({ min: 1, maxLength: 108 }).map((bytes) => Buffer.from(bytes).toString('latin1'));

describe('what is written', () => {
  it('is read back the same: version 2', () => {
    const ends: fc.Arbitrary<ProxiedEnds> = fc.oneof(
      tcpEnds,
      fc.tuple(path, path).map(([source, destination]) => ({ kind: 'unix', source, destination }) as const),
    );
    fc.assert(
      fc.property(ends, facts, fc.boolean(), (from, known, checksum) => {
        const bytes = writeBinary(false, from, known, checksum);
        expect(read(bytes)).toEqual({ kind: 'header', end: bytes.length, header: { version: 2, local: false, ends: from, facts: known } });
      }),
      { numRuns: 2_000 },
    );
  });

  it('is read back the same: version 1', () => {
    fc.assert(
      fc.property(tcpEnds, (ends) => {
        const bytes = writeText(ends);
        expect(bytes.length).toBeLessThanOrEqual(107);
        expect(read(bytes)).toEqual({ kind: 'header', end: bytes.length, header: { version: 1, local: false, ends, facts: NO_FACTS } });
      }),
      { numRuns: 2_000 },
    );
  });

  it('is what another writer of the same header writes, and its checksum is right by another count', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), port, port, name, (source, destination, from, to, authority) => {
        const ends = endsOf(source, destination, from, to);
        const addresses = bytesOf(`${source} ${destination} ${from} ${to}`);
        expect(writeBinary(false, ends, NO_FACTS, false)).toEqual(v2(0x21, 0x11, addresses));
        const plain = v2(0x21, 0x11, Buffer.concat([addresses, tlv(2, Buffer.from(authority)), tlv(3, Buffer.alloc(4))]));
        plain.writeUInt32BE(slowCrc(plain), plain.length - 4);
        expect(writeBinary(false, ends, { ...NO_FACTS, authority }, true)).toEqual(plain);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['nobody, in version 1', writeText(null), 'PROXY UNKNOWN\r\n'],
    [
      'mixed families, in version 1',
      writeText(endsOf('192.0.2.1', '2001:db8::2', 1, 2)),
      'PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n',
    ],
    ['a check of our own, in version 2', writeBinary(true, null, NO_FACTS, true), `${SIGNATURE.toString('latin1')}\x20\0\0\0`],
    ['nobody, in version 2', writeBinary(false, null, NO_FACTS, true), `${SIGNATURE.toString('latin1')}\x21\0\0\0`],
  ])('%s', (_what, bytes, text) => {
    expect(bytes.toString('latin1')).toBe(text);
  });
});

/** Bit by bit, from the definition: no table, and the polynomial the other way round. */
function slowCrc(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes)
    for (let bit = 0; bit < 8; bit++) {
      const incoming = BigInt((byte >> bit) & 1);
      const top = crc >> 31n;
      crc = (crc << 1n) & 0xffffffffn;
      if (top !== incoming) crc ^= 0x1edc6f41n;
    }
  let reflected = 0n;
  for (let bit = 0n; bit < 32n; bit++) reflected |= ((crc >> bit) & 1n) << (31n - bit);
  return Number(reflected ^ 0xffffffffn);
}

describe('CRC-32C', () => {
  // RFC 3720 §B.4.
  it.each([
    ['32 zeros', Buffer.alloc(32), 0x8a9136aa],
    ['32 ones', Buffer.alloc(32, 0xff), 0x62a8ab43],
    ['rising', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
    ['123456789', Buffer.from('123456789'), 0xe3069283],
  ])('of %s', (_what, bytes, value) => {
    expect([crc32c(bytes, bytes.length), slowCrc(bytes)]).toEqual([value, value]);
  });
});
