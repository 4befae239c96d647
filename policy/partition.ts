/**
 * Atoms: the parts of address space within which no rule can tell two sources apart. They are numbered so that what a node holds
 * is a few runs of consecutive atoms, so a node is written as the atoms at which it changes.
 *
 * The work is proportional to the number of changes (a prefix entered or left, times the nodes that notice), not to atoms × nodes.
 */
import { RangeList, type Ranges, rangesOf, Signatures } from './prefixes.ts';
import type { SourceGraph } from './sources.ts';

export interface Partition {
  readonly atomCount: number;
  /** Whether any address is in no prefix, or only flows over unix sockets are in atom 0. */
  readonly zeroHasAddresses: boolean;
  /** Whether a node holds atom 0, that of sources in no prefix and without an address. */
  readonly initial: Uint8Array;
  /** For every node that rules ask for: the atoms, ascending, at which its holding changes. */
  readonly changes: (readonly number[])[];
  /** Ranges with atoms in place of signatures, neighbours that are alike joined. */
  readonly ipv4: Ranges;
  readonly ipv6: Ranges;
}

export function partition(graph: SourceGraph): Partition {
  const signatures = new Signatures();
  const ipv4 = rangesOf(graph.mentions, 4, signatures);
  const ipv6 = rangesOf(graph.mentions, 6, signatures);
  const { canonical, classes } = classify(graph, signatures);
  const inhabited = new Uint8Array(classes.parents.length);
  for (const { signatures: own } of [ipv4, ipv6]) for (let i = 0; i < own.length; i++) inhabited[canonical[own[i]!]!] = 1;
  const { atomCount, atoms, changes } = number(classes, inhabited, graph.plus.length);
  const atomOfSignature = canonical.map((name) => atoms[name]!);
  return {
    atomCount,
    zeroHasAddresses: inhabited[0] === 1,
    initial: Uint8Array.from(graph.plus, (plus, node) => (plus > 0 && graph.minus[node] === 0 ? 1 : 0)),
    changes,
    ipv4: joinAlike(ipv4, atomOfSignature),
    ipv6: joinAlike(ipv6, atomOfSignature),
  };
}

/** Atoms before they are numbered: a tree in which each differs from its parent by the nodes in `delta`. */
interface Classes {
  readonly parents: number[];
  readonly deltas: (readonly number[])[];
}

/** Signatures that no rule can tell apart fall together. `canonical` maps a signature to its class. */
function classify(graph: SourceGraph, signatures: Signatures): { canonical: number[]; classes: Classes } {
  const children = childrenOf(signatures.parents);
  const classes: Classes = { parents: [0], deltas: [[]] };
  const canonical: number[] = new Array(signatures.parents.length).fill(0);
  const known = new Map<number | string, number>();
  const state = new HoldingState(graph);
  // Prefixes nest at most 129 deep, so recursion is bounded.
  const visit = (signature: number) => {
    const below = children[signature]!;
    for (let i = 0; i < below.length; i++) {
      const child = below[i]!;
      const delta = state.apply(signatures.added[child]!, 1);
      const parent = canonical[signature]!;
      canonical[child] = delta.length === 0 ? parent : classOf(parent, delta);
      if (children[child]!.length > 0) visit(child);
      state.apply(signatures.added[child]!, -1);
    }
  };
  const classOf = (parent: number, delta: readonly number[]) => {
    const key = delta.length === 1 ? parent * 2 ** 24 + delta[0]! : `${parent}:${delta.join()}`;
    let found = known.get(key);
    if (found === undefined) {
      found = classes.parents.length;
      classes.parents.push(parent);
      classes.deltas.push(delta);
      known.set(key, found);
    }
    return found;
  };
  visit(0);
  return { canonical, classes };
}

const NOTHING: readonly number[] = [];

/** Which nodes hold the address that the walk stands at, kept up to date by counting. */
class HoldingState {
  readonly #graph: SourceGraph;
  readonly #plus: Int32Array;
  readonly #minus: Int32Array;
  readonly #holds: Uint8Array;
  readonly #queued: Uint8Array;
  /** A binary heap of nodes to look at again: in ascending order, so that each is looked at once. */
  readonly #heap: number[] = [];

  constructor(graph: SourceGraph) {
    this.#graph = graph;
    this.#plus = Int32Array.from(graph.plus);
    this.#minus = Int32Array.from(graph.minus);
    this.#holds = Uint8Array.from(graph.plus, (plus, node) => (plus > 0 && graph.minus[node] === 0 ? 1 : 0));
    this.#queued = new Uint8Array(graph.plus.length);
  }

  /** Adds (1) or withdraws (-1) mentions; returns the nodes that rules ask for and that changed, ascending. */
  apply(codes: readonly number[], by: 1 | -1): readonly number[] {
    for (let i = 0; i < codes.length; i++) this.#count(codes[i]!, by);
    let changed: number[] | null = null;
    while (this.#heap.length > 0) {
      const node = pop(this.#heap);
      this.#queued[node] = 0;
      const holds = this.#plus[node]! > 0 && this.#minus[node] === 0 ? 1 : 0;
      if (holds === this.#holds[node]) continue;
      this.#holds[node] = holds;
      if (this.#graph.asked.has(node)) (changed ??= []).push(node);
      const dependents = this.#graph.dependents[node]!;
      for (let i = 0; i < dependents.length; i++) this.#count(dependents[i]!, holds ? 1 : -1);
    }
    return changed ?? NOTHING;
  }

  #count(code: number, by: 1 | -1): void {
    const node = code >>> 1;
    (code & 1 ? this.#minus : this.#plus)[node]! += by;
    if (this.#queued[node] === 1) return;
    this.#queued[node] = 1;
    push(this.#heap, node);
  }
}

/** Numbers classes in preorder, like ones side by side, and notes where each node changes. */
function number(
  classes: Classes,
  inhabited: Uint8Array,
  nodeCount: number,
): { atomCount: number; atoms: Uint32Array; changes: number[][] } {
  const popularity = new Uint32Array(nodeCount);
  for (const delta of classes.deltas) for (const node of delta) popularity[node]!++;
  // Neighbours that share the most popular node first: a segment made of a thousand others is then one run.
  const ordered = classes.deltas.map((delta) =>
    delta.length < 2 ? delta : [...delta].sort((a, b) => popularity[b]! - popularity[a]! || a - b),
  );
  const children = childrenOf(classes.parents);
  const changes: number[][] = Array.from({ length: nodeCount }, () => []);
  const atoms = new Uint32Array(classes.parents.length);
  let next = 0;
  const toggle = (delta: readonly number[]) => {
    for (let i = 0; i < delta.length; i++) {
      const node = delta[i]!;
      const at = changes[node]!;
      // Left and entered again at the same atom: no change at all.
      if (at[at.length - 1] === next) at.pop();
      else at.push(next);
    }
  };
  const visit = (name: number) => {
    toggle(classes.deltas[name]!);
    // A prefix that others cover whole tells nothing apart by itself. Atom 0 is there for flows over unix sockets too.
    if (inhabited[name] === 1 || name === 0) atoms[name] = next++;
    if (children[name]!.length > 0)
      for (const child of [...children[name]!].sort((a, b) => compareLists(ordered[a]!, ordered[b]!))) visit(child);
    toggle(classes.deltas[name]!);
  };
  visit(0);
  return { atomCount: next, atoms, changes };
}

/** Most have none, and share that list. */
function childrenOf(parents: readonly number[]): (readonly number[])[] {
  const children: (number[] | null)[] = parents.map(() => null);
  for (let name = 1; name < parents.length; name++) (children[parents[name]!] ??= []).push(name);
  return children.map((list) => list ?? NOTHING);
}

function joinAlike({ starts, signatures }: Ranges, atoms: readonly number[]): Ranges {
  const joined = new RangeList(signatures.length);
  let last = -1;
  for (let i = 0; i < signatures.length; i++) {
    const atom = atoms[signatures[i]!]!;
    if (atom === last) continue;
    last = atom;
    joined.emit(starts[i * 4]!, starts[i * 4 + 1]!, starts[i * 4 + 2]!, starts[i * 4 + 3]!, atom);
  }
  return joined.ranges;
}

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function push(heap: number[], value: number): void {
  let at = heap.push(value) - 1;
  while (at > 0) {
    const up = (at - 1) >> 1;
    if (heap[up]! <= value) break;
    heap[at] = heap[up]!;
    at = up;
  }
  heap[at] = value;
}

function pop(heap: number[]): number {
  const top = heap[0]!;
  const value = heap.pop()!;
  if (heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let down = at * 2 + 1;
    if (down >= heap.length) break;
    if (down + 1 < heap.length && heap[down + 1]! < heap[down]!) down++;
    if (heap[down]! >= value) break;
    heap[at] = heap[down]!;
    at = down;
  }
  heap[at] = value;
  return top;
}
