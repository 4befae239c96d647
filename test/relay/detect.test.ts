import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { protocolBit, protocolNames } from '../../config/protocols.ts';
import { DETECT_BYTES_MAX, detectClient, detectServer, MORE } from '../../proxy/relay/detect.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** Real first bytes, whole. Hexadecimal ones were taken from the clients named. */
const CLIENT: [what: string, protocol: string, first: Buffer][] = [
  ['a request', 'http', bytes('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
  ['a request of HTTP/1.0', 'http', bytes('POST /a?b=c HTTP/1.0\r\n')],
  ['a request in absolute form', 'http', bytes('GET http://example.com/ HTTP/1.1\r\n')],
  ['CONNECT', 'http', bytes('CONNECT example.com:443 HTTP/1.1\r\n')],
  ['OPTIONS *', 'http', bytes('OPTIONS * HTTP/1.1\r\n')],
  ['a method with a hyphen', 'http', bytes('M-SEARCH * HTTP/1.1\r\n')],
  ['a method that begins like a preface', 'http', bytes('PRIX * HTTP/1.1\r\n')],
  ['the method PRI, which is no preface', 'http', bytes('PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n')],
  ['the preface of HTTP/2', 'h2', bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0')],
  ['a client hello of TLS 1.3', 'tls', hex('16 03 01 02 00 01 00 01 fc 03 03')],
  ['a client hello of TLS 1.2', 'tls', hex('16 03 03 00 a5 01 00 00 a1 03 03')],
  ['a startup of PostgreSQL 3.0 (psql)', 'postgres', hex('00 00 00 22 00 03 00 00 75 73 65 72 00 61 00')],
  ['a startup of PostgreSQL 3.2', 'postgres', hex('00 00 00 22 00 03 00 02 75 73 65 72 00 61 00')],
  ['a startup with a minor version that nobody has', 'postgres', hex('00 00 00 22 00 03 27 0f 75 73 65 72 00 61 00')],
  ['SSLRequest', 'postgres', hex('00 00 00 08 04 d2 16 2f')],
  ['GSSENCRequest', 'postgres', hex('00 00 00 08 04 d2 16 30')],
  ['CancelRequest', 'postgres', hex('00 00 00 10 04 d2 16 2e 00 00 00 01 00 00 00 02')],
  ['RESP (redis-cli)', 'redis', bytes('*1\r\n$4\r\nPING\r\n')],
  ['RESP with two digits', 'redis', bytes('*12\r\n$5\r\nHELLO\r\n')],
  ['inline PING', 'redis', bytes('PING\r\n')],
  ['inline ping', 'redis', bytes('ping\r\n')],
  ['inline INFO', 'redis', bytes('INFO\r\n')],
  ['an SSH client', 'ssh', bytes('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n')],
  ['an SSH client of both versions', 'ssh', bytes('SSH-1.99-x\r\n')],
  ['EHLO without waiting', 'smtp', bytes('EHLO client.example.com\r\n')],
  ['helo', 'smtp', bytes('helo x\r\n')],
  ['RTSP (curl)', 'rtsp', bytes('OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n')],
  ['RTSP with a URL', 'rtsp', bytes('DESCRIBE rtsp://a/b RTSP/2.0\r\n')],
  ['SIP (RFC 3261 §24.1)', 'sip', bytes('REGISTER sip:registrar.biloxi.com SIP/2.0\r\nVia: x\r\n')],
  ['SIP without a verb of its own', 'sip', bytes('OPTIONS sip:carol@chicago.com SIP/2.0\r\n')],
  ['NATS without waiting', 'nats', bytes('CONNECT {"verbose":false}\r\n')],
  ['AMQP 0-9-1', 'amqp', bytes('AMQP\0\0\x09\x01')],
  ['AMQP 1.0', 'amqp', bytes('AMQP\0\x01\0\0')],
  ['AMQP 1.0 with SASL', 'amqp', bytes('AMQP\x03\x01\0\0')],
  ['MQTT 3.1.1 (curl)', 'mqtt', hex('10 18 00 04 4d 51 54 54 04 02 00 3c 00 0c 63 75 72 6c')],
  ['MQTT 5.0', 'mqtt', hex('10 10 00 04 4d 51 54 54 05 02 00 3c 03 21 00 14 00 00')],
  ['MQTT 3.1', 'mqtt', hex('10 13 00 06 4d 51 49 73 64 70 03 02 00 3c 00 05 61')],
  ['MQTT with a length in two bytes', 'mqtt', hex('10 80 02 00 04 4d 51 54 54 04 02')],
  ['LDAP bind (curl with OpenLDAP)', 'ldap', hex('30 0c 02 01 01 60 07 02 01 03 04 00 80 00')],
  ['LDAP StartTLS', 'ldap', hex('30 1d 02 01 01 77 18 80 16 31 2e 33 2e 36')],
  ['LDAP with a length in five bytes (Windows)', 'ldap', hex('30 84 00 00 00 42 02 01 01 63 84 00')],
  ['SOCKS5 (curl)', 'socks', hex('05 02 00 01')],
  ['SOCKS5 with a password (curl)', 'socks', hex('05 03 00 01 02')],
  ['SOCKS4a (curl)', 'socks', hex('04 01 00 50 00 00 00 01 00 61 2e 65')],
  ['SOCKS4 with a user', 'socks', hex('04 01 00 50 c0 00 02 01 6d 65 00')],
  [
    'RDP with a cookie',
    'rdp',
    Buffer.concat([hex('03 00 00 2b 26 e0 00 00 00 00 00'), bytes('Cookie: mstshash=user\r\n'), hex('01 00 08 00 03 00 00 00')]),
  ],
  ['RDP that asks for TLS', 'rdp', hex('03 00 00 13 0e e0 00 00 00 00 00 01 00 08 00 03 00 00 00')],
  ['RDP bare', 'rdp', hex('03 00 00 0b 06 e0 00 00 00 00 00')],
  ['Cassandra OPTIONS, v4', 'cassandra', hex('04 00 00 00 05 00 00 00 00')],
  ['Cassandra OPTIONS, v5', 'cassandra', hex('05 00 00 01 05 00 00 00 00')],
  ['Cassandra STARTUP, v3', 'cassandra', hex('03 00 00 00 01 00 00 00 16 00 01 00 0b 43 51 4c')],
  ['SQL Server PRELOGIN', 'mssql', hex('12 01 00 2f 00 00 01 00 00 00 1a 00 06 01 00 20 00 01 02')],
  ['Kafka ApiVersions (librdkafka)', 'kafka', hex('00 00 00 1b 00 12 00 03 00 00 00 01 00 07 72 64 6b 61 66 6b 61 00')],
  ['Kafka Metadata, without a client id', 'kafka', hex('00 00 00 0e 00 03 00 00 00 00 00 00 ff ff 00 00 00 00')],
  ['MongoDB hello, OP_MSG', 'mongodb', hex('3d 00 00 00 01 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00')],
  ['MongoDB isMaster, OP_QUERY', 'mongodb', hex('3a 00 00 00 20 50 4f 53 00 00 00 00 d4 07 00 00 04 00 00 00')],
  ['a query of DNS', 'dns', hex('00 1d a8 b2 01 20 00 01 00 00 00 00 00 00 07 65 78 61 6d 70 6c 65 03 63 6f 6d 00 00 01 00 01')],
  ['a query of DNS with EDNS', 'dns', hex('00 1c 12 34 01 00 00 01 00 00 00 00 00 01 00 00 02 00 01 00 00 29 10 00 00 00 00 00 00 00')],
  ['memcached get', 'memcached', bytes('get key\r\n')],
  ['memcached set', 'memcached', bytes('set key 0 60 5\r\nhello\r\n')],
  ['memcached version', 'memcached', bytes('version\r\n')],
  ['memcached meta get', 'memcached', bytes('mg key v\r\n')],
  ['memcached, binary', 'memcached', hex('80 00 00 05 00 00 00 00 00 00 00 05 00 00 00 00')],
  ['a HELLO of Redis, in line', 'redis', bytes('HELLO 3\r\n')],
  ['a HELLO of Redis, by redis-cli', 'redis', bytes('*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n')],
  // False friends.
  ['HELO, with one L', 'smtp', bytes('HELO 3\r\n')],
  ['a HELLO that is none of Redis', 'unknown', bytes('HELLO world\r\n')],
  ['a get of memcached that is a request', 'http', bytes('get / HTTP/1.1\r\n')],
  ['a request with a body that looks like Redis', 'http', bytes('POST / HTTP/1.1\r\n\r\n*1\r\n$4\r\nPING\r\n')],
  ['Redis with a request in a value', 'redis', bytes('*2\r\n$3\r\nGET\r\n$14\r\nGET / HTTP/1.1\r\n')],
  ['CONNECT to a host, which is no NATS', 'http', bytes('CONNECT a:4222 HTTP/1.1\r\n')],
  ['a request whose target is a SIP one', 'http', bytes('GET sip:a@b HTTP/1.1\r\n')],
  ['Kafka in the bytes of a PostgreSQL startup', 'kafka', hex('00 00 00 22 00 03 00 00 00 00 00 01 00 01 61')],
  ['PostgreSQL in the bytes of a Kafka request', 'postgres', hex('00 00 00 22 00 03 00 00 64 61 74 61 62 61 73 65 00')],
  ['S7 behind the same TPKT as RDP', 'unknown', hex('03 00 00 16 11 e0 00 00 00 01 00 c0 01 0a c1 02 01 00 c2 02 01 02')],
  ['AMQP of a version that there is not', 'unknown', bytes('AMQP\x09\0\0\0')],
  ['MQTT of a level that there is not', 'unknown', hex('10 18 00 04 4d 51 54 54 09 02 00 3c')],
  ['a name like MQTT', 'unknown', hex('10 18 00 04 4d 51 54 58 04 02')],
  ['LDAP with an answer', 'unknown', hex('30 0c 02 01 01 61 07 0a 01 00 04 00 04 00')],
  ['a certificate in DER', 'unknown', hex('30 82 03 21 30 82 02 09')],
  ['SOCKS5 without a method', 'unknown', hex('05 00 ff ff 00 00 00 00 00')],
  ['an answer of DNS', 'unknown', hex('00 1d a8 b2 81 80 00 01 00 01 00 00 00 00 07 65')],
  ['a PROXY header of version 1', 'unknown', bytes('PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n')],
  ['a PROXY header of version 2', 'unknown', hex('0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a 21 11 00 0c')],
  ['MySQL, whose client would wait', 'unknown', hex('20 00 00 01 85 a2 3f 00 00 00 00 01 2d 00 00 00 00 00 00 00')],
  ['SMB over TCP', 'unknown', hex('00 00 00 45 ff 53 4d 42 72 00 00 00 00 18 01 28')],
  ['X11', 'unknown', hex('6c 00 0b 00 00 00 00 00 00 00 00 00 00 00 00 00')],
  ['BitTorrent', 'unknown', bytes('\x13BitTorrent protocol')],
  ['the name of a method alone', 'unknown', bytes('GET\r\n')],
  ['a request of HTTP/0.9', 'unknown', bytes('GET /\r\n')],
  ['a request that says HTTP/2', 'unknown', bytes('GET / HTTP/2\r\n')],
  ['FTP', 'unknown', bytes('USER anonymous\r\n')],
  ['a request after an empty line', 'unknown', bytes('\r\nGET / HTTP/1.1\r\n')],
  ['a TLS alert', 'unknown', hex('15 03 03 00 02 02 28')],
  ['a TLS record of application data', 'unknown', hex('17 03 03 00 20 00')],
  ['a handshake record with a server hello', 'unknown', hex('16 03 03 00 7a 02 00')],
  ['a handshake record of no length', 'unknown', hex('16 03 01 00 00 01')],
  ['a handshake record too long', 'unknown', hex('16 03 01 ff ff 01')],
  ['a length with a code that is not of PostgreSQL', 'unknown', hex('00 00 00 08 04 d2 16 40')],
  ['an SSLRequest of the wrong length', 'unknown', hex('00 00 00 09 04 d2 16 2f 00')],
  ['a startup of version 2', 'unknown', hex('00 00 00 22 00 02 00 00')],
  ['a star and text', 'unknown', bytes('*hello\r\n')],
  ['RESP of something other than strings', 'unknown', bytes('*1\r\n:4\r\n')],
  ['PING and more', 'unknown', bytes('PINGPONG\r\n')],
  ['SSH of the wrong version', 'unknown', bytes('SSH-3.0-x\r\n')],
  ['HTTP inside of a line', 'unknown', bytes('hello GET / HTTP/1.1\r\n')],
  ['NUL', 'unknown', hex('ff 00 00 00 00 00 00 00 00 00 00 00 00')],
];

const SERVER: [what: string, protocol: string, first: Buffer][] = [
  ['OpenSSH', 'ssh', bytes('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n')],
  [
    'MySQL 8',
    'mysql',
    Buffer.concat([hex('4a 00 00 00 0a'), bytes('8.0.36\0'), hex('08 00 00 00 01 02 03 04 05 06 07 08 00 ff ff ff 02 00')]),
  ],
  ['MariaDB', 'mysql', Buffer.concat([hex('5b 00 00 00 0a'), bytes('5.5.5-10.11.6-MariaDB-0+deb12u1\0'), hex('1f 00 00 00')])],
  ['MySQL that refuses the host', 'mysql', Buffer.concat([hex('45 00 00 00 ff 6a 04'), bytes("Host '10.0.0.1' is not allowed")])],
  ['Postfix', 'smtp', bytes('220 mail.example.com ESMTP Postfix (Debian/GNU)\r\n')],
  ['a mail server in several lines', 'smtp', bytes('220-mail.example.com ESMTP Exim 4.96\r\n220 hello\r\n')],
  ['vsftpd', 'ftp', bytes('220 (vsFTPd 3.0.3)\r\n')],
  ['Pure-FTPd', 'ftp', bytes('220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n220-x\r\n')],
  ['ProFTPD', 'ftp', bytes('220 ProFTPD Server (Debian) [::ffff:127.0.0.1]\r\n')],
  ['Dovecot IMAP', 'imap', bytes('* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n')],
  ['Dovecot POP3', 'pop3', bytes('+OK Dovecot ready.\r\n')],
  ['NATS', 'nats', bytes('INFO {"server_id":"x"}\r\n')],
  ['a mail server that says no', 'unknown', bytes('554 no service\r\n')],
  ['an HTTP server', 'unknown', bytes('HTTP/1.1 400 Bad Request\r\n')],
  ['Redis, an error', 'unknown', bytes('-ERR max number of clients reached\r\n')],
  ['MySQL of another protocol version', 'unknown', Buffer.concat([hex('4a 00 00 00 09'), bytes('3.20\0')])],
  ['a packet that is not the first', 'unknown', hex('4a 00 00 01 0a 38 2e 30 00')],
  ['VNC', 'unknown', bytes('RFB 003.008\n')],
  ['an FTP server that names mail', 'smtp', bytes('220 ftp.example.com ESMTP\r\n')],
  ['a preauthenticated IMAP', 'imap', bytes('* PREAUTH ready\r\n')],
  ['Redis, an answer that looks like POP3', 'unknown', bytes('+PONG\r\n')],
  ['memcached', 'unknown', bytes('VERSION 1.6.18\r\n')],
  ['telnet', 'unknown', hex('ff fd 18 ff fd 20')],
];

const found = (set: number) => (set === MORE ? 'more' : protocolNames(set).join('+'));

describe.each([
  { side: 'client', detect: detectClient, table: CLIENT },
  { side: 'server', detect: detectServer, table: SERVER },
])('first bytes of a $side', ({ detect, table }) => {
  it.each(table)('%s: %s', (_what, protocol, first) => {
    expect(found(detect(first, first.length))).toBe(protocol);
  });

  it.each(table)('%s, split anywhere: nothing other than %s', (_what, protocol, first) => {
    const answers = Array.from({ length: first.length + 1 }, (_, length) => found(detect(first, length)));
    expect(answers[0]).toBe('more');
    const at = answers.findIndex((answer) => answer !== 'more');
    expect(new Set(answers.slice(at))).toEqual(new Set([protocol]));
  });

  it.each(table)('%s, with whatever behind it: still %s', (_what, protocol, first) => {
    for (const tail of [Buffer.alloc(3_000, 'a'), Buffer.alloc(3_000), Buffer.alloc(3_000, '\r\n')]) {
      const whole = Buffer.concat([first, tail]);
      expect(found(detect(whole, whole.length))).toBe(protocol);
    }
  });

  it('never throws, answers one protocol, and does not change its mind as bytes come, whatever they are', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(...table.map(([, , first]) => new Uint8Array(first))),
      fc.constantFrom(' ', '\r\n', '\0', 'HTTP/1.', '220 ', '220-', 'FTP', '*1\r\n$', 'SSH-').map((text) => new Uint8Array(bytes(text))),
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.nat(), (pieces, cut) => {
        const all = Buffer.concat(pieces);
        if (all.length === 0) return;
        const part = detect(all, (cut % all.length) + 1);
        const whole = detect(all, all.length);
        if (part !== MORE) expect(found(whole)).toBe(found(part));
        if (whole !== MORE) expect(protocolNames(whole)).toHaveLength(1);
      }),
      { numRuns: 3_000 },
    );
  });

  it('does not look at bytes behind the length', () => {
    for (const [, , first] of table) {
      const short = first.subarray(0, 3);
      const padded = Buffer.concat([short, Buffer.alloc(200, 'Z')]);
      expect(detect(padded, short.length)).toBe(detect(short, short.length));
    }
  });

  it(`is decided after ${DETECT_BYTES_MAX} bytes`, () => {
    for (const fill of ['a', '220 ', 'GET /', '0', '*', '\0', ' '])
      expect(detect(Buffer.alloc(DETECT_BYTES_MAX, fill), DETECT_BYTES_MAX)).not.toBe(MORE);
    expect(detect(bytes(`GET /${'a'.repeat(DETECT_BYTES_MAX)}`), DETECT_BYTES_MAX)).toBe(protocolBit('unknown'));
  });
});
