/** Writes small MaxMind-format databases, after the specification (https://maxmind.github.io/MaxMind-DB/), sharing no code with the reader. */

type Value = string | number | { [key: string]: Value };

export interface Network {
  /** Bits of the network, most significant first; IPv4 in a tree of both families under 96 zeros. */
  readonly bits: string;
  readonly record: Value;
}

/** `aliases` are other ways that lead to the IPv4 addresses, as in the databases of MaxMind. */
export function writeMmdb(
  networks: readonly Network[],
  ipVersion: 4 | 6,
  recordSize: 24 | 28 | 32,
  aliases: readonly string[] = [],
): Buffer {
  // Nodes as pairs: a number is a node, a string the key of a record, null nothing.
  const nodes: (number | string | null)[][] = [[null, null]];
  const records = new Map<string, Value>();
  for (const { bits, record } of networks) {
    const key = JSON.stringify(record);
    records.set(key, record);
    let node = 0;
    for (const bit of bits.slice(0, -1)) {
      const next = nodes[node]![Number(bit)]!;
      if (typeof next === 'number') node = next;
      else node = nodes[node]![Number(bit)] = nodes.push([next, next]) - 1;
    }
    nodes[node]![Number(bits.at(-1))] = key;
  }
  for (const bits of aliases) {
    const ipv4 = nodeAt(nodes, '0'.repeat(96));
    const above = nodeAt(nodes, bits.slice(0, -1));
    nodes[above]![Number(bits.at(-1))] = ipv4;
  }
  const data: Buffer[] = [];
  const offsets = new Map<string, number>();
  let length = 0;
  for (const [key, record] of records) {
    offsets.set(key, length);
    const bytes = encode(record);
    data.push(bytes);
    length += bytes.length;
  }
  const pointer = (side: number | string | null) =>
    side === null ? nodes.length : typeof side === 'number' ? side : nodes.length + 16 + offsets.get(side)!;
  const tree = nodes.map(([left, right]) => encodeNode(pointer(left!), pointer(right!), recordSize));
  const metadata = encode({
    node_count: nodes.length,
    record_size: recordSize,
    ip_version: ipVersion,
    database_type: 'Test',
    languages: {},
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: 1,
    description: {},
  });
  return Buffer.concat([...tree, Buffer.alloc(16), ...data, Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), metadata]);
}

/** The node behind some bits; made where there is none. */
function nodeAt(nodes: (number | string | null)[][], bits: string): number {
  let node = 0;
  for (const bit of bits) {
    const next = nodes[node]![Number(bit)]!;
    if (typeof next === 'number') node = next;
    else node = nodes[node]![Number(bit)] = nodes.push([next, next]) - 1;
  }
  return node;
}

/** `10.0.0.0/8` or `2001:db8::/32` (groups written out) as bits. */
export function bitsOf(prefix: string): string {
  const [base, length] = prefix.split('/') as [string, string];
  const whole = base.includes(':')
    ? base.split(':').map((group) =>
        Number.parseInt(group || '0', 16)
          .toString(2)
          .padStart(16, '0'),
      )
    : base.split('.').map((octet) => Number(octet).toString(2).padStart(8, '0'));
  return whole.join('').padEnd(128, '0').slice(0, Number(length));
}

function encodeNode(left: number, right: number, recordSize: 24 | 28 | 32): Buffer {
  const node = Buffer.alloc(recordSize / 4);
  if (recordSize === 28) {
    node.writeUIntBE(left & 0xffffff, 0, 3);
    node[3] = ((left >>> 24) << 4) | (right >>> 24);
    node.writeUIntBE(right & 0xffffff, 4, 3);
  } else {
    node.writeUIntBE(left, 0, recordSize / 8);
    node.writeUIntBE(right, recordSize / 8, recordSize / 8);
  }
  return node;
}

function encode(value: Value): Buffer {
  if (typeof value === 'string') return Buffer.concat([head(2, Buffer.byteLength(value)), Buffer.from(value)]);
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return Buffer.concat([head(6, 4), bytes]);
  }
  const entries = Object.entries(value);
  return Buffer.concat([head(7, entries.length), ...entries.flatMap(([key, inner]) => [encode(key), encode(inner)])]);
}

function head(type: number, size: number): Buffer {
  return size < 29 ? Buffer.from([(type << 5) | size]) : Buffer.from([(type << 5) | 29, size - 29]);
}
