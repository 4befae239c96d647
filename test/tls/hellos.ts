/** ClientHellos put together by hand, right and wrong. */

/** The same message in records of at most `size` bytes. */
export function recut(bytes: Buffer, size: number): Buffer {
  const message = bytes.subarray(5, 5 + bytes.readUInt16BE(3));
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    parts.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(parts);
}

export const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
export const block = (size: 1 | 2, ...parts: Buffer[]) => {
  const all = Buffer.concat(parts);
  return Buffer.concat([size === 1 ? Buffer.from([all.length]) : u16(all.length), all]);
};
export const list = (...values: number[]) => Buffer.concat(values.map(u16));
export const extension = (kind: number, body: Buffer) => Buffer.concat([u16(kind), block(2, body)]);
export const nameOf = (name: string | Buffer) => extension(0, block(2, Buffer.from([0]), block(2, Buffer.from(name as string, 'latin1'))));

export interface Written {
  readonly version?: number;
  readonly ciphers?: readonly number[];
  readonly extensions?: readonly Buffer[];
  readonly session?: Buffer;
  readonly compressions?: Buffer;
  /** All behind the compressions, in place of the extensions. */
  readonly rest?: Buffer;
  readonly tail?: Buffer;
}

export function hello({
  version = 0x303,
  ciphers = [0x1301],
  extensions = [],
  session = Buffer.alloc(32),
  compressions = Buffer.from([0]),
  rest = block(2, ...extensions),
  tail = Buffer.alloc(0),
}: Written): Buffer {
  const body = Buffer.concat([
    u16(version),
    Buffer.alloc(32),
    block(1, session),
    block(2, list(...ciphers)),
    block(1, compressions),
    rest,
    tail,
  ]);
  const message = Buffer.concat([Buffer.from([1, body.length >> 16, (body.length >> 8) & 255, body.length & 255]), body]);
  return record(22, message);
}

export function record(kind: number, payload: Buffer, version = 0x301): Buffer {
  return Buffer.concat([Buffer.from([kind]), u16(version), u16(payload.length), payload]);
}
