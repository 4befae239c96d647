/** Frames of HTTP/2 (RFC 9113 §4, §6): their numbers, and how the small ones are written. */

export const FRAME_HEAD_BYTES = 9;
/** What SETTINGS_MAX_FRAME_SIZE is unless somebody says otherwise; we never do. */
export const FRAME_BYTES_MAX = 16_384;
/** The largest window there is (RFC 9113 §6.9.1). */
export const WINDOW_MAX = 2_147_483_647;
/** What windows are before anything is said of them (RFC 9113 §6.9.2). */
export const WINDOW_INITIAL = 65_535;
export const STREAM_ID_MAX = 2_147_483_647;

export const DATA = 0;
export const HEADERS = 1;
export const PRIORITY = 2;
export const RST_STREAM = 3;
export const SETTINGS = 4;
export const PUSH_PROMISE = 5;
export const PING = 6;
export const GOAWAY = 7;
export const WINDOW_UPDATE = 8;
export const CONTINUATION = 9;

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const WITH_PRIORITY = 0x20;

export const SETTING_HEADER_TABLE_SIZE = 1;
export const SETTING_ENABLE_PUSH = 2;
export const SETTING_MAX_CONCURRENT_STREAMS = 3;
export const SETTING_INITIAL_WINDOW_SIZE = 4;
export const SETTING_MAX_FRAME_SIZE = 5;
export const SETTING_MAX_HEADER_LIST_SIZE = 6;
/** RFC 8441. */
export const SETTING_ENABLE_CONNECT_PROTOCOL = 8;

export const NO_ERROR = 0;
export const PROTOCOL_ERROR = 1;
export const INTERNAL_ERROR = 2;
export const FLOW_CONTROL_ERROR = 3;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const REFUSED_STREAM = 7;
export const CANCEL = 8;
export const COMPRESSION_ERROR = 9;
export const CONNECT_ERROR = 10;
export const ENHANCE_YOUR_CALM = 11;
export const INADEQUATE_SECURITY = 12;

/** hot: the nine bytes before a payload. Answers where the payload begins. */
export function writeFrameHead(out: Buffer, at: number, length: number, type: number, flags: number, stream: number): number {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  return writeWord(out, at + 5, stream);
}

/** hot: 32 bits. Answers the position behind them. */
export function writeWord(out: Buffer, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

/** hot: 31 bits; the first one is reserved (a stream's number, a window's increment). */
export function readWord31(bytes: Buffer, at: number): number {
  return ((bytes[at]! & 0x7f) << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function readWord(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** hot: the length of a frame's payload. */
export function readLength(bytes: Buffer, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

/** The payload of a SETTINGS frame. */
export function settingsBytes(settings: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(settings.length * 6);
  for (const [i, [name, value]] of settings.entries()) {
    bytes.writeUInt16BE(name, i * 6);
    bytes.writeUInt32BE(value, i * 6 + 2);
  }
  return bytes;
}
