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
  // False friends.
  ['the name of a method alone', 'unknown', bytes('GET\r\n')],
  ['a request of HTTP/0.9', 'unknown', bytes('GET /\r\n')],
  ['a request that says HTTP/2', 'unknown', bytes('GET / HTTP/2\r\n')],
  ['RTSP', 'unknown', bytes('OPTIONS rtsp://a/b RTSP/1.0\r\n')],
  ['SIP', 'unknown', bytes('INVITE sip:bob@example.com SIP/2.0\r\n')],
  ['NATS', 'unknown', bytes('CONNECT {"verbose":false}\r\n')],
  ['FTP', 'unknown', bytes('USER anonymous\r\n')],
  ['memcached', 'unknown', bytes('get key\r\n')],
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
  ['NUL', 'unknown', hex('ff 00 00 00')],
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
