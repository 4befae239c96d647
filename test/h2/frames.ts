/** A client that writes frames of HTTP/2 one by one, right or wrong, and notes what comes back. It knows nothing of the proxy's own code but how to read a field block. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { FieldDecoder } from '../../proxy/h2/field-decoder.ts';
import { until } from '../node/harness.ts';

export const TYPE = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goAway: 7,
  window: 8,
  continuation: 9,
} as const;
export const FLAG = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;
export const ERROR = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function setting(name: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(name);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** A field block in which every field is spelled out, and none remembered. */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [
      Buffer.from([0]),
      integer(name.length),
      Buffer.from(name, 'latin1'),
      integer(value.length),
      Buffer.from(value, 'latin1'),
    ]),
  );
}

function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}

export const GET: readonly (readonly [string, string])[] = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'shop.test'],
];
export const POST = GET.map(([name, value]) => [name, name === ':method' ? 'POST' : value] as const);

export function request(stream: number, fields: readonly (readonly [string, string])[] = GET, ended = true): Buffer {
  return frame(TYPE.headers, FLAG.endHeaders | (ended ? FLAG.endStream : 0), stream, block(fields));
}

export class RawClient {
  readonly frames: Frame[] = [];
  closed = false;
  /** Of each stream, the fields of its heads and trailers, and its payload. */
  readonly fields = new Map<number, [string, string][]>();
  readonly bodies = new Map<number, string>();
  private readonly socket: Socket;
  private readonly decoder = new FieldDecoder();
  private unread = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    socket.on('close', () => (this.closed = true));
    socket.on('error', () => undefined);
  }

  static async open(port: number, greeting: Buffer = Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)])): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const client = new RawClient(socket);
    client.send(greeting);
    return client;
  }

  send(...frames: readonly Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(frames));
  }

  /** Reads no more: the proxy's answers pile up. */
  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  close(): void {
    this.socket.destroy();
  }

  end(): void {
    this.socket.end();
  }

  /** The codes with which the stream, or (0) the connection, was ended. */
  codes(stream: number): number[] {
    const type = stream === 0 ? TYPE.goAway : TYPE.reset;
    return this.frames
      .filter((one) => one.type === type && one.stream === stream)
      .map(({ payload }) => payload.readUInt32BE(stream === 0 ? 4 : 0));
  }

  field(stream: number, name: string): string | undefined {
    return this.fields.get(stream)?.findLast(([one]) => one === name)?.[1];
  }

  hasEnded(stream: number): boolean {
    return this.frames.some((one) => one.stream === stream && one.type <= TYPE.headers && (one.flags & FLAG.endStream) !== 0);
  }

  /** Waits for the answer to a request; its status. */
  async answer(stream: number): Promise<string | undefined> {
    await until(() => this.hasEnded(stream) || this.codes(stream).length > 0 || this.closed);
    return this.field(stream, ':status');
  }

  private read(bytes: Buffer): void {
    let rest = Buffer.concat([this.unread, bytes]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const length = rest.readUIntBE(0, 3);
      const got: Frame = {
        type: rest[3]!,
        flags: rest[4]!,
        stream: rest.readUInt32BE(5),
        payload: Buffer.from(rest.subarray(9, 9 + length)),
      };
      rest = rest.subarray(9 + length);
      this.frames.push(got);
      if (got.type === TYPE.headers) this.note(got);
      if (got.type === TYPE.data) this.bodies.set(got.stream, (this.bodies.get(got.stream) ?? '') + got.payload.toString('latin1'));
    }
    this.unread = Buffer.from(rest);
  }

  private note({ stream, payload }: Frame): void {
    const fields = this.fields.get(stream) ?? [];
    this.fields.set(stream, fields);
    const line = (bytes: Buffer, nameLength: number, end: number) =>
      void fields.push([bytes.toString('latin1', 0, nameLength), bytes.toString('latin1', nameLength + 2, end - 2)]);
    if (!this.decoder.decode(payload, 0, payload.length, { line })) throw new Error('the proxy sent a broken field block');
  }
}
