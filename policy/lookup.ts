/**
 * From an address to its atom, by binary search over the ranges; for IPv4 within the few ranges of its /16. A trie of strides would
 * spend a node of hundreds of words on each scattered host; here a prefix costs two ranges whatever its length.
 */
import type { Image } from './image.ts';

/** The source of a flow over a unix socket: in no segment, matched only by rules for any. Addresses in no prefix share it. */
export const NO_ADDRESS_ATOM = 0;

/** hot: allocates nothing. Words are unsigned, most significant first; IPv4 is [0, 0, 0xffff, value]. */
export function atomOf(image: Image, w0: number, w1: number, w2: number, w3: number): number {
  if (w2 === 0xffff && w1 === 0 && w0 === 0) {
    const root = w3 >>> 16;
    let low = image.ipv4Roots[root]!;
    let high = image.ipv4Roots[root + 1]!;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (image.ipv4Starts[middle]! <= w3) low = middle;
      else high = middle - 1;
    }
    return image.ipv4Atoms[low]!;
  }
  const starts = image.ipv6Starts;
  let low = 0;
  let high = image.ipv6Atoms.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (isAtOrBelow(starts, middle * 4, w0, w1, w2, w3)) low = middle;
    else high = middle - 1;
  }
  return image.ipv6Atoms[low]!;
}

function isAtOrBelow(starts: Uint32Array, at: number, w0: number, w1: number, w2: number, w3: number): boolean {
  if (starts[at] !== w0) return starts[at]! < w0;
  if (starts[at + 1] !== w1) return starts[at + 1]! < w1;
  if (starts[at + 2] !== w2) return starts[at + 2]! < w2;
  return starts[at + 3]! <= w3;
}
