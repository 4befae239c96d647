/** The Huffman code of field strings (RFC 7541 §5.2, Appendix B), read four bits at a time by a table made at load. */

/**
 * Bits of each symbol's code, 0 to 255 and then the end of a string. The code is canonical: codes of one length are consecutive in
 * the order of their symbols, and shorter ones come first; so the lengths are all there is to know.
 */
const LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10,
  12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7,
  7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22,
  23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22,
  23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20,
  24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];
const END_OF_STRING = 256;
const BITS_MAX = 30;

/** A step of the table: the next state in the low 9 bits, then these. */
const EMITS = 1 << 9;
const FAILS = 1 << 10;
const SYMBOL_SHIFT = 16;

const { steps, endings } = makeTable();

/** The shortest code has 5 bits: a string never becomes longer than this when it is decoded. */
export function decodedBytesMax(encodedBytes: number): number {
  return Math.ceil((encodedBytes * 8) / 5);
}

/** hot: decodes bytes [start, end) to `out` from `at` on, where there has to be room. Answers the position behind; -1 where the code is broken. */
export function decodeHuffman(bytes: Buffer, start: number, end: number, out: Buffer, at: number): number {
  let to = at;
  let state = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    let step = steps[(state << 4) | (byte >>> 4)]!;
    if ((step & EMITS) !== 0) out[to++] = step >>> SYMBOL_SHIFT;
    if ((step & FAILS) !== 0) return -1;
    step = steps[((step & 0x1ff) << 4) | (byte & 15)]!;
    if ((step & EMITS) !== 0) out[to++] = step >>> SYMBOL_SHIFT;
    if ((step & FAILS) !== 0) return -1;
    state = step & 0x1ff;
  }
  return endings[state] === 1 ? to : -1;
}

function makeTable(): { steps: Uint32Array; endings: Uint8Array } {
  // A node is two numbers: what follows on 0 and on 1. A node not below 0 is a node; below 0 it is the symbol -1 - n.
  const nodes: [number | null, number | null][] = [[null, null]];
  const depths = [0];
  let code = 0;
  for (let bits = 1; bits <= BITS_MAX; bits++) {
    code *= 2;
    for (let symbol = 0; symbol <= END_OF_STRING; symbol++) {
      if (LENGTHS[symbol] !== bits) continue;
      let node = 0;
      for (let bit = bits - 1; bit > 0; bit--) {
        const side = Math.floor(code / 2 ** bit) % 2;
        let next = nodes[node]![side]!;
        if (next === null) {
          next = nodes.push([null, null]) - 1;
          depths[next] = bits - bit;
          nodes[node]![side] = next;
        }
        node = next;
      }
      nodes[node]![code % 2] = -1 - symbol;
      code++;
    }
  }
  const table = new Uint32Array(nodes.length * 16);
  for (let state = 0; state < nodes.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      let emitted = 0;
      for (let bit = 3; bit >= 0 && (emitted & FAILS) === 0; bit--) {
        const next = nodes[node]![(nibble >> bit) & 1]!;
        if (next === -1 - END_OF_STRING) emitted |= FAILS;
        else if (next !== null && next < 0) {
          emitted |= EMITS | ((-1 - next) << SYMBOL_SHIFT);
          node = 0;
        } else node = next ?? 0;
      }
      table[state * 16 + nibble] = emitted | node;
    }
  }
  // A string ends on a whole symbol, or in fewer than eight bits of padding, all of them ones.
  const ends = new Uint8Array(nodes.length);
  for (let node = 0; depths[node]! < 8; node = nodes[node]![1]!) ends[node] = 1;
  return { steps: table, endings: ends };
}
