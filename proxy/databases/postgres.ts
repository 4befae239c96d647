/**
 * What a client of PostgreSQL begins with (PostgreSQL 17, §53.2, §53.7), and what is said to it. Pure: bytes in, facts out; hostile bytes are a
 * fault, never an exception.
 */

/** The server's own bound (MAX_STARTUP_PACKET_LENGTH). */
export const STARTUP_BYTES_MAX = 10_000;
/** NAMEDATALEN less its NUL: a server cuts longer names off, so what is longer would not be judged as what it becomes. */
export const NAME_BYTES_MAX = 63;
/** The longest secret of protocol 3.2. */
const SECRET_BYTES_MAX = 256;

const CANCEL_REQUEST = 80_877_102;
const SSL_REQUEST = 80_877_103;
const GSS_REQUEST = 80_877_104;
/** ContentType handshake of TLS, with which a client of PostgreSQL 17 may begin (`sslnegotiation=direct`). */
const TLS_HANDSHAKE = 0x16;

export type PostgresFault = 'malformed' | 'too long' | 'unknown version' | 'no user' | 'repeated name' | 'name too long';

export interface PostgresStartup {
  readonly kind: 'startup';
  readonly major: number;
  readonly minor: number;
  readonly user: string;
  /** The user's name where none is said; null for a replication connection, which belongs to no database. */
  readonly database: string | null;
  /** `options` as sent; empty where there are none. */
  readonly options: string;
  readonly applicationName: string;
  readonly end: number;
}

export interface PostgresCancel {
  readonly kind: 'cancel';
  readonly process: number;
  readonly secret: Buffer;
  readonly end: number;
}

export type PostgresOpening =
  | { readonly kind: 'more' }
  | { readonly kind: 'fault'; readonly fault: PostgresFault }
  | { readonly kind: 'ssl-request' | 'gss-request'; readonly end: number }
  | { readonly kind: 'tls' }
  | PostgresStartup
  | PostgresCancel;

const MORE: PostgresOpening = { kind: 'more' };

function faulty(fault: PostgresFault): PostgresOpening {
  return { kind: 'fault', fault };
}

/** Reads the message at the start of [0, length). */
export function readOpening(bytes: Buffer, length: number): PostgresOpening {
  if (length === 0) return MORE;
  if (bytes[0] === TLS_HANDSHAKE) return { kind: 'tls' };
  if (bytes[0] !== 0) return faulty('malformed');
  if (length < 8) return MORE;
  const end = bytes.readUInt32BE(0);
  const code = bytes.readUInt32BE(4);
  if (end > STARTUP_BYTES_MAX) return faulty('too long');
  if (code === SSL_REQUEST || code === GSS_REQUEST)
    return end === 8 ? { kind: code === SSL_REQUEST ? 'ssl-request' : 'gss-request', end } : faulty('malformed');
  if (code === CANCEL_REQUEST) {
    if (end < 16 || end > 12 + SECRET_BYTES_MAX) return faulty('malformed');
    return length < end ? MORE : { kind: 'cancel', process: bytes.readUInt32BE(8), secret: Buffer.from(bytes.subarray(12, end)), end };
  }
  if (code >>> 16 !== 3) return faulty('unknown version');
  if (end < 9) return faulty('malformed');
  return length < end ? MORE : readStartup(bytes, end, code & 0xffff);
}

function readStartup(bytes: Buffer, end: number, minor: number): PostgresOpening {
  const said = new Map<string, string>();
  let at = 8;
  while (bytes[at] !== 0) {
    const nameEnd = bytes.indexOf(0, at);
    const valueEnd = nameEnd < 0 ? -1 : bytes.indexOf(0, nameEnd + 1);
    // The last byte is the NUL behind the last value's.
    if (nameEnd < 0 || valueEnd < 0 || valueEnd >= end - 1) return faulty('malformed');
    const name = bytes.toString('utf8', at, nameEnd);
    if (said.has(name) && (name === 'user' || name === 'database' || name === 'replication')) return faulty('repeated name');
    if ((name === 'user' || name === 'database') && valueEnd - nameEnd - 1 > NAME_BYTES_MAX) return faulty('name too long');
    said.set(name, bytes.toString('utf8', nameEnd + 1, valueEnd));
    at = valueEnd + 1;
  }
  if (at !== end - 1) return faulty('malformed');
  const user = said.get('user') ?? '';
  if (user === '') return faulty('no user');
  return {
    kind: 'startup',
    major: 3,
    minor,
    user,
    database: isPhysicalReplication(said.get('replication')) ? null : said.get('database') || user,
    options: said.get('options') ?? '',
    applicationName: said.get('application_name') ?? '',
    end,
  };
}

/** `database` is a replication connection that does belong to one; everything else that is no plain no may be taken for yes. */
function isPhysicalReplication(said: string | undefined): boolean {
  return said !== undefined && said.toLowerCase() !== 'database' && !/^(?:f(?:a(?:l(?:s(?:e)?)?)?)?|no?|off?|0)$/i.test(said);
}

/** The answer to a request for encryption: there is none. */
export const NO_ENCRYPTION: Buffer = Buffer.from('N');
/** Yes, and TLS begins with the client's next byte. */
export const YES_ENCRYPTION: Buffer = Buffer.from('S');

/** SQLSTATE: invalid_authorization_specification, and protocol_violation. */
export type SqlState = '28000' | '08P01';

/** ErrorResponse, fatal: the connection ends with it. */
export function errorResponse(state: SqlState, message: string, detail: string | null = null): Buffer {
  const clean = (text: string) => text.replaceAll('\0', '');
  const fields = [`SFATAL`, `VFATAL`, `C${state}`, `M${clean(message)}`, ...(detail === null ? [] : [`D${clean(detail)}`])];
  const body = Buffer.from(`${fields.join('\0')}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E', 'latin1');
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** The largest message that a server sends before it is ready; what is longer is none of those that count here. */
const GREETING_MESSAGE_BYTES_MAX = 64 * 1024;

/** Watches a server's first messages for the key that cancels its session (BackendKeyData), until it is ready or has refused. */
export class BackendKeyWatch {
  /** Nothing more will come of it. */
  over = false;
  key: { readonly process: number; readonly secret: Buffer } | null = null;
  /** The part of a message that has come: its five bytes of head, then as much of its body as matters. */
  private readonly part = Buffer.alloc(5 + 4 + SECRET_BYTES_MAX);
  private have = 0;
  /** Bytes of the message's body that are still to come and do not matter. */
  private skip = 0;

  feed(bytes: Buffer, length: number): void {
    let at = 0;
    while (at < length && !this.over) {
      if (this.skip > 0) {
        const step = Math.min(this.skip, length - at);
        this.skip -= step;
        at += step;
        continue;
      }
      this.part[this.have++] = bytes[at++]!;
      if (this.have >= 5) this.look();
    }
  }

  private look(): void {
    const type = this.part[0]!;
    const size = this.part.readUInt32BE(1) + 1;
    // Authentication, parameters, notices, the negotiated version; Z and E end it, and so does what has no business here.
    if (size < 5 || size > GREETING_MESSAGE_BYTES_MAX || !'RSNvK'.includes(String.fromCharCode(type))) {
      this.over = true;
      return;
    }
    if (type !== 0x4b) {
      this.skip = size - 5;
      this.have = 0;
    } else if (size < 13 || size > this.part.length) this.over = true;
    else if (this.have === size) {
      this.key = { process: this.part.readUInt32BE(5), secret: Buffer.from(this.part.subarray(9, size)) };
      this.over = true;
    }
  }
}
