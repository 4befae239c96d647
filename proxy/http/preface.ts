/** Tells a client of HTTP/2 that begins in the clear, without asking first (RFC 9113 §3.3), from one of HTTP/1.1. */
import type { Wire } from '../wire/wire.ts';
import type { Arrival } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';

/** Carries a connection on whose first bytes, the arrival's early ones, are those of HTTP/2. The wire is the session's from here on. */
export type StartHttp2 = (context: Context, arrival: Arrival, wire: Wire) => void;

/** What a client of HTTP/2 sends first (RFC 9113 §3.4). */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Whether bytes [start, end) begin as HTTP/2 does, as far as they go. */
export function beginsHttp2(bytes: Buffer, start: number, end: number): boolean {
  const length = Math.min(PREFACE.length, end - start);
  return bytes.compare(PREFACE, 0, length, start, start + length) === 0;
}
