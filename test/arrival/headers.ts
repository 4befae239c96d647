/** PROXY headers of version 2 put together by hand, with what each of them says. */
import { formatHostPort } from '../../config/address.ts';
import type { HostPort, ProxyHeader } from '../../proxy/arrival/proxied.ts';

export const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

export function v2(versionAndCommand: number, family: number, rest: Buffer, size = rest.length): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([versionAndCommand, family, size >> 8, size & 0xff]), rest]);
}

export function tlv(type: number, value: Buffer | string, size = value.length): Buffer {
  return Buffer.concat([Buffer.from([type, size >> 8, size & 0xff]), Buffer.from(value as string, 'latin1')]);
}

/** `source destination sourcePort destinationPort`, IPv4. */
export function bytesOf(text: string): Buffer {
  const [source, destination, from, to] = text.split(' ');
  const octets = [source!, destination!].flatMap((address) => address.split('.').map(Number));
  const ports = [Number(from), Number(to)].flatMap((port) => [port >> 8, port & 0xff]);
  return Buffer.from([...octets, ...ports]);
}

/** In one line, for tables. */
export function described({ version, local, ends, facts }: ProxyHeader): string {
  const of = ({ address, port }: HostPort) => formatHostPort(address, port);
  const who = local
    ? 'itself'
    : ends === null
      ? 'nobody'
      : ends.kind === 'unix'
        ? `unix ${JSON.stringify(ends.source)} > ${JSON.stringify(ends.destination)}`
        : `${of(ends.source)} > ${of(ends.destination)}`;
  const ssl = facts.ssl;
  const known = [
    facts.alpn === null ? '' : ` alpn=${facts.alpn}`,
    facts.authority === null ? '' : ` authority=${facts.authority}`,
    facts.uniqueId === null ? '' : ` id=${facts.uniqueId.toString('hex')}`,
    facts.netns === null ? '' : ` netns=${facts.netns}`,
    ssl === null
      ? ''
      : ` ssl=${[ssl.encrypted, ssl.certificate, ssl.verified].map(Number).join('')},${ssl.version},${ssl.cipher},${ssl.commonName}`,
  ];
  return `v${version} ${who}${known.join('')}`;
}

const ENDS = bytesOf('192.0.2.1 198.51.100.2 56324 443');
const LONG = Buffer.concat([
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from('20010db8000000000000000000000002', 'hex'),
  Buffer.from([0, 1, 0, 2]),
]);
const MAPPED = Buffer.concat([
  Buffer.from('00000000000000000000ffffc0000201', 'hex'),
  Buffer.from('00000000000000000000ffffc6336402', 'hex'),
  Buffer.from([0, 1, 0, 2]),
]);
const unix = (source: string, destination: string) =>
  Buffer.concat([source, destination].map((path) => Buffer.concat([Buffer.from(path, 'latin1'), Buffer.alloc(108 - path.length)])));
const with4 = (...tlvs: Buffer[]) => v2(0x21, 0x11, Buffer.concat([ENDS, ...tlvs]));
const ssl = (client: number, verify: number, ...subs: Buffer[]) =>
  tlv(0x20, Buffer.concat([Buffer.from([client, 0, 0, 0, verify]), ...subs]).toString('latin1'));

const WHO = 'v2 192.0.2.1:56324 > 198.51.100.2:443';

export interface BinaryCase {
  readonly what: string;
  readonly bytes: Buffer;
  /** As `described`, or the fault. */
  readonly says: string;
}

const row = (what: string, bytes: Buffer, says: string): BinaryCase => ({ what, bytes, says });

export const BINARY: readonly BinaryCase[] = [
  row('IPv4', with4(), WHO),
  row('IPv6', v2(0x21, 0x21, LONG), 'v2 [2001:db8::1]:1 > [2001:db8::2]:2'),
  row('mapped addresses, which are IPv4', v2(0x21, 0x21, MAPPED), 'v2 192.0.2.1:1 > 198.51.100.2:2'),
  row('unix', v2(0x21, 0x31, unix('/run/a', '/run/b')), 'v2 unix "/run/a" > "/run/b"'),
  row('unix without names', v2(0x21, 0x31, unix('', '/run/b')), 'v2 unix "" > "/run/b"'),
  row('an abstract unix name', v2(0x21, 0x31, unix('\0x', '')), 'v2 unix "\\u0000x" > ""'),
  row('a unix path of all 108 bytes', v2(0x21, 0x31, unix('p'.repeat(108), '/b')), `v2 unix "${'p'.repeat(108)}" > "/b"`),
  row('LOCAL', v2(0x20, 0x00, Buffer.alloc(0)), 'v2 itself'),
  row('LOCAL with addresses, which do not count', v2(0x20, 0x11, ENDS), 'v2 itself'),
  row('LOCAL with anything behind it', v2(0x20, 0x00, Buffer.alloc(9, 0xff)), 'v2 itself'),
  // What network load balancers of AWS ask health by.
  row('LOCAL with a TLV', v2(0x20, 0x00, Buffer.from('0000040a0b0c0d', 'hex')), 'v2 itself'),
  row('LOCAL with a TLV that is longer than the header', v2(0x20, 0x00, tlv(2, 'x', 9)), 'v2 itself'),
  row('UNSPEC', v2(0x21, 0x00, Buffer.alloc(0)), 'v2 nobody'),
  row('UNSPEC with anything behind it', v2(0x21, 0x00, Buffer.alloc(9, 0xff)), 'v2 nobody'),
  row('ALPN', with4(tlv(1, 'http/1.1')), `${WHO} alpn=http/1.1`),
  row('authority, folded', with4(tlv(2, 'Example.COM.')), `${WHO} authority=example.com`),
  row('NOOP, as often as it likes', with4(tlv(4, ''), tlv(4, 'xx'), tlv(4, '')), WHO),
  row('unique id', with4(tlv(5, '\x01\x02')), `${WHO} id=0102`),
  row('unique id with NUL', with4(tlv(5, 'public\0x')), `${WHO} id=7075626c69630078`),
  row('ALPN with NUL, which is not what stands before it', with4(tlv(1, 'h2\0x')), `${WHO} alpn=h2\0x`),
  row('TLS of a sender without TLS', with4(ssl(0, 0)), `${WHO} ssl=000,null,null,null`),
  row(
    'a common name with NUL, which is not what stands before it',
    with4(ssl(7, 0, tlv(0x22, 'ana\0x'))),
    `${WHO} ssl=111,null,null,ana\0x`,
  ),
  row(
    'a multicast source: what a listed proxy says is believed',
    v2(0x21, 0x11, bytesOf('230.0.0.1 0.0.0.0 1 2')),
    'v2 230.0.0.1:1 > 0.0.0.0:2',
  ),
  row('a network namespace', with4(tlv(0x30, 'blue')), `${WHO} netns=blue`),
  row(
    'TLS with a certificate that holds',
    with4(ssl(7, 0, tlv(0x21, 'TLSv1.3'), tlv(0x22, 'ana'), tlv(0x23, 'X'))),
    `${WHO} ssl=111,TLSv1.3,X,ana`,
  ),
  row('TLS with a certificate that does not hold', with4(ssl(3, 1, tlv(0x22, 'ana'))), `${WHO} ssl=110,null,null,ana`),
  row('TLS without a certificate: verify says nothing', with4(ssl(1, 0)), `${WHO} ssl=100,null,null,null`),
  row('a certificate without TLS, which cannot be', with4(ssl(6, 0, tlv(0x22, 'ana'))), `${WHO} ssl=000,null,null,ana`),
  row('types that nobody knows', with4(tlv(0xe0, 'x'), tlv(0xee, 'y'), tlv(0x99, 'z')), WHO),
  row('another version', v2(0x11, 0x11, ENDS), 'unknown version'),
  row('a third version', v2(0x31, 0x11, ENDS), 'unknown version'),
  row('another command', v2(0x22, 0x11, ENDS), 'unknown command'),
  row('the last command there could be, of a family that is none', v2(0x2f, 0x1f, ENDS), 'unknown command'),
  row('another family', v2(0x21, 0x41, ENDS), 'unknown family'),
  row('another transport', v2(0x21, 0x13, ENDS), 'unknown family'),
  row('a family without a transport', v2(0x21, 0x10, ENDS), 'unknown family'),
  row('a transport without a family', v2(0x21, 0x01, ENDS), 'unknown family'),
  row('UDP over IPv4', v2(0x21, 0x12, ENDS), 'datagrams'),
  row('UDP over IPv6', v2(0x21, 0x22, LONG), 'datagrams'),
  row('unix datagrams', v2(0x21, 0x32, unix('', '')), 'datagrams'),
  row('too short for its addresses', v2(0x21, 0x11, ENDS.subarray(0, 11)), 'malformed'),
  row('IPv6 with the size of IPv4', v2(0x21, 0x21, ENDS), 'malformed'),
  row('no addresses at all', v2(0x21, 0x11, Buffer.alloc(0)), 'malformed'),
  row('IPv6 with four bytes', v2(0x21, 0x21, Buffer.from([0, 8, 0, 2])), 'malformed'),
  row('IPv6 short of one byte', v2(0x21, 0x21, LONG.subarray(0, 35)), 'malformed'),
  row('unix short of one byte', v2(0x21, 0x31, unix('/a', '/b').subarray(0, 215)), 'malformed'),
  row('half a TLV', with4(Buffer.from([4, 0])), 'bad TLV'),
  row('a TLV and one byte', with4(tlv(2, '1234'), Buffer.from([0x35])), 'bad TLV'),
  row('a second TLV longer than the header', with4(tlv(4, 'x'), tlv(2, '12345', 10)), 'bad TLV'),
  row('a TLV longer than the header', with4(tlv(4, 'x', 2)), 'bad TLV'),
  row('a wrong checksum', with4(tlv(3, '\0\0\0\0')), 'bad checksum'),
  row('a checksum of three bytes', with4(tlv(3, '\0\0\0')), 'bad TLV'),
  row('two authorities', with4(tlv(2, 'a.example'), tlv(2, 'b.example')), 'repeated TLV'),
  row('an empty authority', with4(tlv(2, '')), 'bad TLV'),
  row('an authority with NUL', with4(tlv(2, 'public\0x')), 'bad TLV'),
  row('an authority with a blank', with4(tlv(2, 'a b')), 'bad TLV'),
  row('an authority with a line feed', with4(tlv(2, 'a\nb')), 'bad TLV'),
  row('an unique id of 129 bytes', with4(tlv(5, 'x'.repeat(129))), 'bad TLV'),
  row('TLS too short', with4(tlv(0x20, '\x01\0\0\0')), 'bad TLV'),
  row('TLS with half a part', with4(ssl(1, 0, Buffer.from([0x21, 0]))), 'bad TLV'),
  row('TLS with two names', with4(ssl(7, 0, tlv(0x22, 'ana'), tlv(0x22, 'bob'))), 'bad TLV'),
  row(
    'a wrong signature',
    Buffer.concat([Buffer.from('0d0a0d0a000d0a515549540b', 'hex'), Buffer.from([0x21, 0x11, 0, 12]), ENDS]),
    'no header',
  ),
];

/** Lines of version 1. */
export const LINES: readonly [what: string, line: string, says: string][] = [
  ['IPv4', 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n', 'v1 192.0.2.1:56324 > 198.51.100.2:443'],
  ['IPv6', 'PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n', 'v1 [2001:db8::1]:1 > [2001:db8::2]:65535'],
  ['a mapped address, which is IPv4', 'PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n', 'v1 192.0.2.1:1 > 198.51.100.2:2'],
  ['port 0', 'PROXY TCP4 192.0.2.1 198.51.100.2 0 0\r\n', 'v1 192.0.2.1:0 > 198.51.100.2:0'],
  ['UNKNOWN', 'PROXY UNKNOWN\r\n', 'v1 nobody'],
  ['UNKNOWN with whatever follows', 'PROXY UNKNOWN ffff::1 x 1 2 3\r\n', 'v1 nobody'],
  ['a multicast source', 'PROXY TCP4 230.0.0.1 0.0.0.0 1 2\r\n', 'v1 230.0.0.1:1 > 0.0.0.0:2'],
  ['lower case', 'PROXY tcp4 192.0.2.1 198.51.100.2 1 2\r\n', 'malformed'],
  ['another transport', 'PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n', 'malformed'],
  ['two spaces', 'PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n', 'malformed'],
  ['a space at the end', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n', 'malformed'],
  ['a port missing', 'PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n', 'malformed'],
  ['a port too many', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n', 'malformed'],
  ['a port above 65535', 'PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n', 'malformed'],
  ['a port with a zero in front', 'PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n', 'malformed'],
  ['a port below 0', 'PROXY TCP4 192.0.2.1 198.51.100.2 -1 2\r\n', 'malformed'],
  ['a port that is no number', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 http\r\n', 'malformed'],
  ['a port before the addresses', 'PROXY TCP4 1 192.0.2.1 198.51.100.2 2\r\n', 'malformed'],
  ['a second address that is none', 'PROXY TCP6 2001:db8::1 2001:db8:::2 1 2\r\n', 'malformed'],
  ['families that are mixed', 'PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n', 'malformed'],
  ['a tab', 'PROXY\tTCP4 192.0.2.1 198.51.100.2 1 2\r\n', 'no header'],
  ['a port with a sign', 'PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n', 'malformed'],
  ['an octet with a zero in front', 'PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n', 'malformed'],
  ['an octet above 255', 'PROXY TCP4 192.0.2.256 198.51.100.2 1 2\r\n', 'malformed'],
  ['IPv6 said to be IPv4', 'PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n', 'malformed'],
  ['IPv4 said to be IPv6', 'PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n', 'malformed'],
  ['a zone', 'PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n', 'malformed'],
  ['a host name', 'PROXY TCP4 localhost 198.51.100.2 1 2\r\n', 'malformed'],
  ['a line feed alone', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n', 'malformed'],
  ['a line feed alone, behind a port that is one without its last digit', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 22\n', 'malformed'],
  ['a NUL', 'PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n', 'malformed'],
  ['no family', 'PROXY \r\n', 'malformed'],
  ['a line of 108 bytes', `PROXY UNKNOWN ${'a'.repeat(92)}\r\n`, 'too long'],
  ['a request', 'GET / HTTP/1.1\r\n', 'no header'],
  ['a request of an odd method', 'PROX / HTTP/1.1\r\n', 'no header'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n', 'no header'],
];
