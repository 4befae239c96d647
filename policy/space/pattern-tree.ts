/**
 * Texts (paths, hosts) parted by patterns into classes that the patterns cannot tell apart. Patterns are exact texts and prefixes (for
 * hosts suffixes), so they nest or stand apart: a tree, of which each node is one class, that of the texts it is the innermost pattern of.
 */
import { normalisePath } from '../request.ts';

/** One pattern: a whole text, or what texts begin with (paths) or end in (hosts). An empty beginning is every text. */
export interface Pattern {
  readonly exact: boolean;
  readonly text: string;
}

/** Texts in `pattern` and in none of `except`. */
export interface PatternTerm {
  readonly pattern: Pattern;
  readonly except: readonly Pattern[];
}

/** A union of terms; no two share a text. */
export type PatternSet = readonly PatternTerm[];

export type Dimension = 'host' | 'path';

export const EVERY: PatternSet = [{ pattern: { exact: false, text: '' }, except: [] }];

interface Node<Owner> {
  /** As in the tree: the texts of hosts are reversed. */
  readonly text: string;
  readonly exact: boolean;
  readonly owners: Owner[];
  parent: number;
}

/** What is tried behind a prefix to get at a text that no narrower pattern has. */
const TAILS = ['x', 'any', 'other', ...Array.from({ length: 26 }, (_, i) => `${String.fromCharCode(97 + i)}0`)];

/** Then one character after the other: a narrower pattern can take away one of them, so that as many as there are patterns are enough. */
const CHARACTERS = { first: 0x4e00, count: 0x9fff - 0x4e00 };

export class PatternTree<Owner> {
  readonly nodes: Node<Owner>[] = [];
  readonly #dimension: Dimension;
  readonly #exact = new Map<string, number>();
  readonly #prefixes = new Map<string, number>();
  #lengths: number[] = [];

  constructor(dimension: Dimension, patterns: Iterable<readonly [Pattern, Owner]>) {
    this.#dimension = dimension;
    this.#node({ exact: false, text: '' });
    for (const [pattern, owner] of patterns) {
      const { owners } = this.nodes[this.#node(pattern)]!;
      if (owners[owners.length - 1] !== owner) owners.push(owner);
    }
    this.#lengths = [...new Set([...this.#prefixes.keys()].map((text) => text.length))].sort((a, b) => b - a);
    for (const [index, node] of this.nodes.entries()) {
      if (index > 0) node.parent = this.#innermost(node.text, node.exact && dimension === 'path' ? node.text.length : node.text.length - 1);
    }
  }

  /** The node whose class a text is in. */
  locate(text: string): number {
    const turned = this.#turn(text);
    // A host has at least one character before what it ends in.
    const most = this.#dimension === 'path' ? turned.length : turned.length - 1;
    return this.#exact.get(turned) ?? this.#innermost(turned, most);
  }

  /** Owners of the patterns that the texts of a node match. */
  ownersOf(node: number): Owner[] {
    const owners = new Set<Owner>();
    for (let at = node; at >= 0; at = this.nodes[at]!.parent) for (const owner of this.nodes[at]!.owners) owners.add(owner);
    return [...owners];
  }

  /** A text of a node's class, in normalised form; null where there is none. */
  sample(node: number): string | null {
    const { exact, text } = this.nodes[node]!;
    if (exact) return this.#turn(text);
    // Every path begins with a slash, one aside.
    if (this.#dimension === 'path' && text === '' && this.#prefixes.has('/')) return this.locate('*') === node ? '*' : null;
    const tries = Math.min(TAILS.length + this.nodes.length, TAILS.length + CHARACTERS.count);
    for (let i = 0; i < tries; i++) {
      const tail = TAILS[i] ?? String.fromCodePoint(CHARACTERS.first + i - TAILS.length);
      const candidate = this.#dimension === 'path' ? this.#pathWith(text, tail) : `${tail}${text === '' ? '.example' : this.#turn(text)}`;
      if (this.locate(candidate) === node && this.#isNormal(candidate)) return candidate;
    }
    const rest = this.#dimension === 'path' && text === '' ? '*' : this.#turn(text);
    return this.locate(rest) === node && this.#isNormal(rest) ? rest : null;
  }

  /** The nodes for which `isIn` holds, as terms. */
  setOf(isIn: (node: number) => boolean): PatternSet {
    const children: number[][] = this.nodes.map(() => []);
    for (const [index, node] of this.nodes.entries()) if (node.parent >= 0) children[node.parent]!.push(index);
    const terms: PatternTerm[] = [];
    const except = (node: number, found: Pattern[]) => {
      for (const child of children[node]!) {
        if (isIn(child)) except(child, found);
        else found.push(this.#pattern(child));
      }
      return found;
    };
    for (const [index, node] of this.nodes.entries()) {
      if (isIn(index) && (node.parent < 0 || !isIn(node.parent))) {
        terms.push({ pattern: this.#pattern(index), except: except(index, []).sort(byText) });
      }
    }
    return terms.sort((a, b) => byText(a.pattern, b.pattern));
  }

  #node({ exact, text }: Pattern): number {
    const turned = this.#turn(text);
    const known = exact ? this.#exact : this.#prefixes;
    let node = known.get(turned);
    if (node === undefined) {
      node = this.nodes.length;
      this.nodes.push({ text: turned, exact, owners: [], parent: -1 });
      known.set(turned, node);
    }
    return node;
  }

  #innermost(text: string, most: number): number {
    for (const length of this.#lengths) {
      if (length > most) continue;
      const node = this.#prefixes.get(text.slice(0, length));
      if (node !== undefined) return node;
    }
    return 0;
  }

  #pattern(node: number): Pattern {
    const { exact, text } = this.nodes[node]!;
    return { exact, text: this.#turn(text) };
  }

  #turn(text: string): string {
    return this.#dimension === 'path' ? text : [...text].reverse().join('');
  }

  #pathWith(prefix: string, tail: string): string {
    return prefix === '' ? `/${tail}` : `${prefix}${tail}`;
  }

  #isNormal(text: string): boolean {
    return this.#dimension === 'host' || normalisePath(targetOf(text)) === text;
  }
}

/** Whether a text, in normalised form, is in a set. */
export function isInSet(set: PatternSet, text: string, dimension: Dimension): boolean {
  const matches = (pattern: Pattern) => {
    if (pattern.exact) return text === pattern.text;
    if (dimension === 'path' || pattern.text === '') return text.startsWith(pattern.text);
    return text.length > pattern.text.length && text.endsWith(pattern.text);
  };
  return set.some(({ pattern, except }) => matches(pattern) && !except.some(matches));
}

/** A request target that normalises to a path. */
export function targetOf(path: string): string {
  return path === '*' ? path : encodeURI(path).replaceAll('?', '%3F').replaceAll('#', '%23');
}

function byText(a: Pattern, b: Pattern): number {
  if (a.text !== b.text) return a.text < b.text ? -1 : 1;
  return Number(b.exact) - Number(a.exact);
}
