/** Fields of HTTP/1.1 that speak of one connection, or frame a message in it: HTTP/2 has no place for them (RFC 9113 §8.2.2). */
import { spells } from '../http/bytes.ts';

/** hot: whether the name in bytes [start, end) is one of them. */
export function isConnectionSpecific(bytes: Buffer, start: number, end: number): boolean {
  switch (end - start) {
    case 2:
      return spells(bytes, start, end, 'te');
    case 7:
      return spells(bytes, start, end, 'upgrade');
    case 10:
      return spells(bytes, start, end, 'connection') || spells(bytes, start, end, 'keep-alive');
    case 16:
      return spells(bytes, start, end, 'proxy-connection');
    case 17:
      return spells(bytes, start, end, 'transfer-encoding') || spells(bytes, start, end, 'sec-websocket-key');
    case 20:
      return spells(bytes, start, end, 'sec-websocket-accept');
    default:
      return false;
  }
}
