/** What detection is made of: matchers that say yes, no, or that so far it could be. */

export type Answer = 'yes' | 'no' | 'more';

/** Looks at [0, length) of the bytes and nothing behind. With more bytes a yes stays a yes, and a no a no. */
export type Matcher = (bytes: Uint8Array, length: number) => Answer;

/** Matches text at an offset, letter case ignored where `fold`. */
export function startsAt(bytes: Uint8Array, at: number, length: number, wanted: Uint8Array, fold = false): Answer {
  const count = Math.min(length - at, wanted.length);
  for (let i = 0; i < count; i++) {
    const byte = bytes[at + i]!;
    const want = wanted[i]!;
    if (byte !== want && !(fold && (byte | 0x20) === (want | 0x20) && isLetter(want))) return 'no';
  }
  return count === wanted.length ? 'yes' : 'more';
}

/** Matches text at the start, letter case ignored where `fold`. */
export function starts(text: string, fold = false): Matcher {
  const wanted = Buffer.from(text, 'latin1');
  return (bytes, length) => startsAt(bytes, 0, length, wanted, fold);
}

export function either(...matchers: Matcher[]): Matcher {
  return (bytes, length) => {
    let answer: Answer = 'no';
    for (const matches of matchers) {
      const one = matches(bytes, length);
      if (one === 'yes') return 'yes';
      if (one === 'more') answer = 'more';
    }
    return answer;
  };
}

export function isLetter(byte: number): boolean {
  return (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Big endian, unsigned. */
export function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function half(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/**
 * A frame whose bytes each have a range: pairs of least and most, one for each byte from the start. What the ranges let through is for the
 * matcher's own eyes.
 */
export function ranges(pairs: readonly (readonly [least: number, most: number])[]): Matcher {
  return (bytes, length) => {
    const count = Math.min(length, pairs.length);
    for (let i = 0; i < count; i++) {
      const [least, most] = pairs[i]!;
      if (bytes[i]! < least || bytes[i]! > most) return 'no';
    }
    return count === pairs.length ? 'yes' : 'more';
  };
}
