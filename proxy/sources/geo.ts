/**
 * MaxMind-format databases: whose prefixes a country or an autonomous system has. mmdb-lib checks and decodes; the search tree is walked
 * here, once a file, so that deciding stays a lookup in the image. Format: https://maxmind.github.io/MaxMind-DB/.
 */
import { open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { Reader, type Response } from 'mmdb-lib';
import { formatAddress, type Prefix } from '../../config/address.ts';

/** A city database has 200 MB; what is larger is not one. */
const FILE_BYTES_MAX = 1024 ** 3;
/**
 * What is read of a file, or walked of its tree, before everything else of the thread has its turn: health checks, the admin endpoint and
 * the journal live there too, and a database of all countries takes a second.
 */
const SLICE_BYTES = 4 * 1024 ** 2;
const SLICE_MS = 8;
/** Nodes between two looks at the clock. */
const SLICE_NODES = 1_024;
/** How deep the IPv4 addresses lie in a tree of IPv6 addresses. */
const IPV4_DEPTH = 96;

export type GeoKind = 'country' | 'asn';

/** Prefixes by country (two letters) or system (its number), for what was asked. What the database doesn't have has an empty list. */
export type GeoAnswer = ReadonlyMap<string | number, readonly Prefix[]>;

/** Reads a database and collects what is wanted, in slices. Rejects where the file can't be read or isn't one. */
export async function readGeo(file: string, kind: GeoKind, wanted: ReadonlySet<string | number>): Promise<GeoAnswer> {
  return new Walk(await readBytes(file), kind, wanted).collect();
}

async function readBytes(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`);
    const bytes = Buffer.allocUnsafe(size);
    for (let at = 0; at < size; ) {
      const { bytesRead } = await handle.read(bytes, at, Math.min(SLICE_BYTES, size - at), at);
      if (bytesRead === 0) throw new Error('it became shorter while it was read');
      at += bytesRead;
    }
    return bytes;
  } finally {
    await handle.close();
  }
}

class Walk {
  readonly #bytes: Buffer;
  readonly #reader: Reader<Response>;
  readonly #kind: GeoKind;
  readonly #found = new Map<string | number, Prefix[]>();
  /** What the records of the data section say, by their pointers: many networks share one. */
  readonly #keys = new Map<number, string | number | null>();
  readonly #words: [number, number, number, number];
  readonly #nodeCount: number;
  readonly #nodeBytes: number;
  readonly #recordBits: number;
  /** The node under which IPv4 lies in a tree of both families; -1 where there is none. */
  #ipv4 = -1;
  #visits = 0;

  constructor(bytes: Buffer, kind: GeoKind, wanted: ReadonlySet<string | number>) {
    this.#bytes = bytes;
    this.#reader = new Reader<Response>(bytes);
    this.#kind = kind;
    for (const key of wanted) this.#found.set(key, []);
    this.#words = [0, 0, this.#reader.metadata.ipVersion === 4 ? 0xffff : 0, 0];
    const { nodeCount, nodeByteSize, recordSize } = this.#reader.metadata;
    if (nodeCount * nodeByteSize > bytes.length) throw new Error('it is cut short');
    this.#nodeCount = nodeCount;
    this.#nodeBytes = nodeByteSize;
    this.#recordBits = recordSize;
  }

  async collect(): Promise<GeoAnswer> {
    if (this.#reader.metadata.ipVersion === 4) await this.#visit(0, IPV4_DEPTH, true);
    else await this.#visitMixed();
    return this.#found;
  }

  /** The tree of both families: IPv4 lies under ::/96, and other places that lead there are other spellings of the same addresses. */
  async #visitMixed(): Promise<void> {
    let ipv4 = 0;
    for (let depth = 0; depth < IPV4_DEPTH && ipv4 < this.#nodeCount; depth++) ipv4 = this.#child(ipv4, 0);
    this.#ipv4 = ipv4 < this.#nodeCount ? ipv4 : -1;
    await this.#visit(0, 0, false);
    if (this.#ipv4 < 0) return;
    this.#words.splice(0, 4, 0, 0, 0xffff, 0);
    await this.#visit(ipv4, IPV4_DEPTH, true);
  }

  /** Walks what lies below a node at a depth, of whose address the bits down to there stand in `#words`. Zero before one: in the order of addresses. */
  async #visit(root: number, rootDepth: number, inIpv4: boolean): Promise<void> {
    // What is left to see: node and depth in turns, each the far side of a node on the way down.
    const rest: number[] = [root, rootDepth];
    let sliceEnd = performance.now() + SLICE_MS;
    while (rest.length > 0) {
      let depth = rest.pop()!;
      let node = rest.pop()!;
      if (depth > rootDepth) this.#turn(depth - 1);
      for (;;) {
        if (node >= this.#nodeCount) {
          if (node > this.#nodeCount) this.#note(node, depth, inIpv4);
          break;
        }
        if (!inIpv4 && node === this.#ipv4) break;
        // In a tree each node is met once; a file that leads in circles is broken.
        if (depth >= 128 || ++this.#visits > this.#nodeCount * 2) throw new Error('its search tree is no tree');
        if (this.#visits % SLICE_NODES === 0 && performance.now() > sliceEnd) {
          await setImmediate();
          sliceEnd = performance.now() + SLICE_MS;
        }
        depth++;
        rest.push(this.#child(node, 1), depth);
        node = this.#child(node, 0);
      }
    }
  }

  /** Sets the bit at a depth, and clears all below it. */
  #turn(depth: number): void {
    const word = depth >>> 5;
    const bit = 0x80000000 >>> (depth & 31);
    this.#words[word] = ((this.#words[word]! & ~(bit - 1)) | bit) >>> 0;
    for (let below = word + 1; below < 4; below++) this.#words[below] = 0;
  }

  #note(pointer: number, depth: number, inIpv4: boolean): void {
    const [a, b, c, d] = this.#words;
    const words: [number, number, number, number] = [a, b, c, d];
    const family = inIpv4 ? 4 : 6;
    // The place of IPv4 addresses in a tree whose ::/96 is one network: no IPv6 address of anyone's.
    const key = this.#keyOf(pointer, { family, words });
    const list = key === null ? undefined : this.#found.get(key);
    if (list === undefined) return;
    const bits = inIpv4 ? depth - IPV4_DEPTH : depth;
    // Nobody reads the text of one of a hundred thousand prefixes, and making it would take longer than all the rest.
    list.push({ family, words, bits, text: '' });
  }

  #keyOf(pointer: number, address: { family: 4 | 6; words: [number, number, number, number] }): string | number | null {
    let key = this.#keys.get(pointer);
    if (key === undefined) {
      const record: unknown = this.#reader.get(formatAddress(address));
      key = this.#kind === 'country' ? countryOf(record) : asnOf(record);
      this.#keys.set(pointer, key);
    }
    return key;
  }

  /** A record of a node: two numbers of 24, 28 or 32 bits. */
  #child(node: number, side: 0 | 1): number {
    const bytes = this.#bytes;
    const at = node * this.#nodeBytes;
    switch (this.#recordBits) {
      case 24:
        return bytes.readUIntBE(at + side * 3, 3);
      case 28:
        return side === 0
          ? ((bytes[at + 3]! & 0xf0) << 20) | bytes.readUIntBE(at, 3)
          : ((bytes[at + 3]! & 0x0f) << 24) | bytes.readUIntBE(at + 4, 3);
      case 32:
        return bytes.readUInt32BE(at + side * 4);
      default:
        throw new Error(`its records have ${this.#recordBits} bits`);
    }
  }
}

/** `country.iso_code` is MaxMind's; others write the code itself. */
function countryOf(record: unknown): string | null {
  const country = field(record, 'country');
  const code = field(country, 'iso_code') ?? field(record, 'country_code') ?? country;
  return typeof code === 'string' ? code.toUpperCase() : null;
}

/** `autonomous_system_number` is MaxMind's; others write `asn: AS3320`. */
function asnOf(record: unknown): number | null {
  const said = field(record, 'autonomous_system_number') ?? field(record, 'asn');
  const number = typeof said === 'string' ? Number(said.replace(/^AS/i, '')) : said;
  return typeof number === 'number' && Number.isInteger(number) ? number : null;
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
