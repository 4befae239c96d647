/**
 * Where things stand in an image: a header that names the sections, then the sections, each a run of 32-bit words. One buffer, so that
 * a swap hands over one thing and every thread reads the same bytes.
 */
export const SECTIONS = [
  // 9 words a VIP: text, application, row of guardrails, own row, row of the baseline, port (all ones on a unix socket), and the same three
  // rows of shadow rules alone (NOT_ASKED where there are none)
  'vips',
  'applications', // 5 words: name, mode, observes, first rule id, first own record
  // 16 words a rule as written: name, file, line, column, action, protocols, condition, source text, ports (offset, count), flags (see
  // records.ts), and texts or NOT_ASKED: when it holds, what is unknown of its sources, its limits, its demand, its on-revoke
  'records',
  // 9 words: methods, hosts, paths, headers: offset and count in `lists`, count NOT_ASKED where the part is absent; whether it is a denial's
  'conditions',
  'lists', // numbers of texts; port ranges as pairs; a header as its name, the number of its values, and the values
  'ipv4Roots', // 65,537 words: the range that holds the first address of each /16
  'ipv4Starts', // first address of each range
  'ipv4Atoms',
  'ipv6Starts', // 4 words a range
  'ipv6Atoms',
  'clusterAtoms', // one bit an atom
  'rowStarts', // row r spans rowStarts[r] to rowStarts[r + 1]
  'rowAtoms',
  'rowPrograms',
  'programs', // see programs.ts
  'textStarts', // byte offsets into `texts`, one more than there are texts
  'texts', // UTF-8
  'patternStarts', // see pattern-index.ts
  'patternLists',
  'patternRecords',
  'patternSlots',
  'patternSpaces',
  'sourceStarts', // row r of sources that demands name spans sourceStarts[r] to sourceStarts[r + 1]
  'sourceAtoms', // the atoms, ascending, at which the source begins or ceases to hold
  'numbers', // see NUMBERS
] as const;

export type Section = (typeof SECTIONS)[number];

/** Single numbers in the section `numbers`. */
export const NUMBERS = [
  'atoms',
  'guardrails',
  'baseline',
  'clusterName',
  'defaultName',
  'protocolClasses',
  'inactive',
  'periods',
  'shadows',
  'logs',
  'pathsAsked',
  'tlsAsked',
  'ja4Asked',
  'identitiesAsked',
  'databasesAsked',
] as const;

export const VIP_WORDS = 9;
export const APPLICATION_WORDS = 5;
export const RECORD_WORDS = 16;
export const CONDITION_WORDS = 9;
export const NOT_ASKED = 0xffffffff;

const MAGIC = 0x424c4b44;
const HEADER_WORDS = 1 + SECTIONS.length * 2;

/** Puts sections into one buffer. `texts` is bytes, padded to whole words. */
export function writeImage(sections: Readonly<Record<Section, ArrayLike<number>>>): SharedArrayBuffer {
  const sizes = SECTIONS.map((name) => (name === 'texts' ? (sections[name].length + 3) >>> 2 : sections[name].length));
  const buffer = new SharedArrayBuffer((HEADER_WORDS + sizes.reduce((sum, size) => sum + size, 0)) * 4);
  const words = new Uint32Array(buffer);
  words[0] = MAGIC;
  let at = HEADER_WORDS;
  for (const [i, name] of SECTIONS.entries()) {
    words[1 + i * 2] = at;
    words[2 + i * 2] = sections[name].length;
    if (name === 'texts') new Uint8Array(buffer, at * 4).set(sections[name]);
    else words.set(sections[name], at);
    at += sizes[i]!;
  }
  return buffer;
}

/** A view of one section. Throws where the buffer isn't an image. */
export function sectionOf(buffer: SharedArrayBuffer, name: Exclude<Section, 'texts'>): Uint32Array<SharedArrayBuffer> {
  const { start, length } = locate(buffer, name);
  return new Uint32Array(buffer, start, length);
}

export function textsOf(buffer: SharedArrayBuffer): Buffer<SharedArrayBuffer> {
  const { start, length } = locate(buffer, 'texts');
  return Buffer.from(buffer, start, length);
}

function locate(buffer: SharedArrayBuffer, name: Section): { start: number; length: number } {
  const header = new Uint32Array(buffer, 0, HEADER_WORDS);
  if (header[0] !== MAGIC) throw new Error('not a policy image');
  const at = 1 + SECTIONS.indexOf(name) * 2;
  return { start: header[at]! * 4, length: header[at + 1]! };
}
