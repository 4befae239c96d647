/**
 * An index for programs with many conditions: tries of hosts (from their ends) and paths. A rule is attached to the patterns of its path
 * or of its host, whichever fewer rules share, so that of ten thousand rules only those are looked at whose pattern lies on the
 * request's way. The index proposes, the condition itself decides.
 */
import type { HttpMatch } from '../config/match.ts';
import { foldHostPattern, foldPathPattern } from './request.ts';

export const HOST_ROOT = 0;
export const PATH_ROOT = 1;

/** Words of an edge: node + 1, code unit, child, unused. Open addressing, at most half full, a power of two of slots. */
const EDGE_WORDS = 4;

export class PatternTries {
  /** Rules whose pattern a node is, in either kind. */
  readonly #uses: number[] = [0, 0];
  readonly #children = new Map<number, number>();
  readonly #candidates: { record: number; hosts: number[] | null; paths: number[] | null }[] = [];

  /** Adds a rule by its record. A rule that asks for neither host nor path is attached to nothing. */
  add(record: number, { hosts, paths }: HttpMatch): void {
    const candidate = {
      record,
      hosts: hosts?.map((host) => this.#insert(HOST_ROOT, this.#hostText(host))) ?? null,
      paths: paths?.flatMap((path) => this.#insertPath(path)) ?? null,
    };
    if (candidate.hosts === null && candidate.paths === null) return;
    for (const node of new Set([...(candidate.hosts ?? []), ...(candidate.paths ?? [])])) this.#uses[node]!++;
    this.#candidates.push(candidate);
  }

  encode(): { patternStarts: Uint32Array; patternRecords: number[]; patternEdges: Uint32Array } {
    const records: number[][] = this.#uses.map(() => []);
    for (const { record, hosts, paths } of this.#candidates) {
      const nodes = this.#busiest(paths) <= this.#busiest(hosts) ? paths! : hosts!;
      for (const node of new Set(nodes)) records[node]!.push(record);
    }
    const patternStarts = new Uint32Array(records.length + 1);
    for (const [node, list] of records.entries()) patternStarts[node + 1] = patternStarts[node]! + list.length;
    return { patternStarts, patternRecords: records.flat(), patternEdges: this.#encodeEdges() };
  }

  #encodeEdges(): Uint32Array {
    let slots = 4;
    while (slots < this.#children.size * 2) slots *= 2;
    const edges = new Uint32Array(slots * EDGE_WORDS);
    for (const [key, child] of this.#children) {
      const node = Math.floor(key / 0x10000);
      const unit = key % 0x10000;
      let slot = slotOf(node, unit, slots);
      while (edges[slot * EDGE_WORDS] !== 0) slot = (slot + 1) & (slots - 1);
      edges.set([node + 1, unit, child], slot * EDGE_WORDS);
    }
    return edges;
  }

  #busiest(nodes: readonly number[] | null): number {
    return nodes === null ? Number.POSITIVE_INFINITY : nodes.reduce((most, node) => Math.max(most, this.#uses[node]!), 0);
  }

  #hostText(pattern: string): string {
    const { exact, suffix } = foldHostPattern(pattern);
    return reversed(exact ?? suffix!);
  }

  #insertPath(pattern: string): number[] {
    const { exact, prefix } = foldPathPattern(pattern);
    return [exact, prefix].flatMap((text) => (text === null ? [] : [this.#insert(PATH_ROOT, text)]));
  }

  #insert(root: number, text: string): number {
    let node = root;
    for (let i = 0; i < text.length; i++) {
      const key = node * 0x10000 + text.charCodeAt(i);
      let child = this.#children.get(key);
      if (child === undefined) {
        child = this.#uses.push(0) - 1;
        this.#children.set(key, child);
      }
      node = child;
    }
    return node;
  }
}

/** hot: allocates nothing. The node behind `node` for a code unit, or -1. */
export function childOf(edges: Uint32Array, node: number, unit: number): number {
  const slots = edges.length >>> 2;
  for (let slot = slotOf(node, unit, slots); ; slot = (slot + 1) & (slots - 1)) {
    const owner = edges[slot * EDGE_WORDS]!;
    if (owner === 0) return -1;
    if (owner === node + 1 && edges[slot * EDGE_WORDS + 1] === unit) return edges[slot * EDGE_WORDS + 2]!;
  }
}

function slotOf(node: number, unit: number, slots: number): number {
  const mixed = Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b);
  return (mixed ^ (mixed >>> 15)) & (slots - 1);
}

/** By code units, as `childOf` is asked. */
function reversed(text: string): string {
  let result = '';
  for (let i = text.length - 1; i >= 0; i--) result += text[i];
  return result;
}
