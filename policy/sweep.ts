/**
 * Which rules of a list hold at which atoms: one pass over the atoms at which anything changes. Rules are bits of 32-bit words, so that
 * ten thousand rules are three hundred words and a change costs as many words as it has rules.
 */
import type { Rule } from '../config/document.ts';
import { isByAddress, isCertain } from './demand.ts';
import type { Partition } from './partition.ts';
import { ANYONE, NOBODY, type SourceCase, type SourceGraph } from './sources.ts';

/** The port of a VIP on a unix socket: no rule that names ports matches it. */
export const NO_PORT = -1;

/** A rule with its source, as a number of the graph. */
export interface SourcedRule {
  readonly rule: Rule;
  readonly source: number;
  /** Where the source depends on identities: every case of it; `source` is then all whose addresses may do. */
  readonly cases?: readonly SourceCase[] | null;
  /** Of the addresses those that are enough, whoever the client is; and those from which nothing that it is leads to the rule. */
  readonly certain?: number;
  readonly byAddress?: number;
}

export function withSources(rules: readonly Rule[], graph: SourceGraph): SourcedRule[] {
  return rules.map((rule) => {
    const bound = rule.action === 'deny' ? 'possible' : 'certain';
    const cases = graph.casesOf(rule.from, rule.except, bound);
    if (cases === null) return { rule, source: graph.sourceOf(rule.from, rule.except, bound) };
    return { rule, source: graph.sourceOfCases(cases), cases, ...parted(cases, graph) };
  });
}

function parted(cases: readonly SourceCase[], graph: SourceGraph): Pick<SourcedRule, 'certain' | 'byAddress'> {
  const byAddress = cases.filter(isByAddress);
  return {
    certain: graph.sourceOfCases(cases.filter(isCertain)),
    // Where no case asks for an identity, there is none to be found by.
    byAddress: byAddress.length === cases.length ? NOBODY : graph.sourceOfCases(byAddress),
  };
}

export function matchesPort(rule: Rule, port: number): boolean {
  return rule.ports === null || rule.ports.some(([first, last]) => first <= port && port <= last);
}

/** Ports in one class are alike to all rules: the number of range edges at or below the port. Classes of NO_PORT are their own. */
export function portClassifier(rules: readonly Rule[]): (port: number) => number {
  const edges = new Set<number>();
  for (const rule of rules) {
    for (const [first, last] of rule.ports ?? []) {
      edges.add(first);
      edges.add(last + 1);
    }
  }
  const sorted = Float64Array.from(edges).sort();
  return (port) => {
    if (port === NO_PORT || sorted.length === 0) return 0;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! <= port) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/**
 * Calls `visit` with the first atom and with each atom at which the set of holding rules may differ from the one before; `end` is
 * the next such atom, or their number. `holding` is reused: bit i of word w is rule 32w + i. A rule holds where its source has the atom and its ports the port.
 */
export function sweep(
  rules: readonly SourcedRule[],
  port: number,
  { initial, changes, atomCount }: Partition,
  visit: (atom: number, holding: Uint32Array, end: number) => void,
): void {
  const holding = new Uint32Array((rules.length + 31) >>> 5);
  /** For each source: word and bits, alternating. Rules come in order, so the words of a source do too. */
  const masks = new Map<number, number[]>();
  for (const [index, { rule, source }] of rules.entries()) {
    if (source === NOBODY || !matchesPort(rule, port)) continue;
    const bit = 1 << (index & 31);
    if (source === ANYONE || initial[source] === 1) holding[index >>> 5]! |= bit;
    if (source === ANYONE) continue;
    const mask = masks.get(source);
    if (mask === undefined) masks.set(source, [index >>> 5, bit]);
    else if (mask[mask.length - 2] === index >>> 5) mask[mask.length - 1]! |= bit;
    else mask.push(index >>> 5, bit);
  }
  const sources = [...masks.keys()];
  const events = eventsOf(sources, changes, atomCount);
  const startOf = (event: number) => (event < events.length ? Math.floor(events[event]! / sources.length) : atomCount);
  // What changes at atom 0 is in the initial state already, so the first event is later.
  visit(0, holding, startOf(0));
  for (let i = 0; i < events.length; ) {
    const atom = startOf(i);
    for (; i < events.length && events[i]! < (atom + 1) * sources.length; i++) {
      const mask = masks.get(sources[events[i]! - atom * sources.length]!)!;
      for (let m = 0; m < mask.length; m += 2) holding[mask[m]!]! ^= mask[m + 1]!;
    }
    visit(atom, holding, startOf(i));
  }
}

/** Changes in order of atoms, each as atom × number of sources + index of the source. What would follow the last atom is left out. */
function eventsOf(sources: readonly number[], changes: readonly (readonly number[])[], atomCount: number): Float64Array {
  let count = 0;
  for (const source of sources) count += changes[source]!.length;
  const events = new Float64Array(count);
  let at = 0;
  for (const [index, source] of sources.entries()) {
    const atoms = changes[source]!;
    for (let i = 0; i < atoms.length; i++) if (atoms[i]! < atomCount) events[at++] = atoms[i]! * sources.length + index;
  }
  const used = events.subarray(0, at);
  return sources.length > 1 ? used.sort() : used;
}
