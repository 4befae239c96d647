/**
 * Requests parted by conditions into finitely many classes, each with a sample: two requests of a class match the same conditions.
 * First by method, then by host, then by path, and each time only by the conditions that are still open, so that the number of classes
 * follows what conditions have to do with each other, not the product of all that they name. Further facts part each class again.
 */

import type { FlowQuestion } from '../../config/document.ts';
import type { HttpFacts } from '../request.ts';
import type { Clock } from './clock.ts';
import { type Asked, type Combination, FactParts, type Judge } from './fact-parts.ts';
import type { Condition } from './lines.ts';
import { type Dimension, EVERY, isInSet, type Pattern, type PatternSet, PatternTree } from './pattern-tree.ts';

/** Named methods, or with `others` every method but those. */
export interface MethodSet {
  readonly others: boolean;
  readonly names: readonly string[];
}

export interface RequestRegion {
  readonly methods: MethodSet;
  readonly hosts: PatternSet;
  readonly paths: PatternSet;
  /** Further facts, of which one of these combinations is there; empty: they make no difference. */
  readonly when: readonly Combination[];
}

/** A region in which `judge` answered the same, with one request of it. */
export interface Labelled<Label> {
  readonly label: Label;
  readonly region: RequestRegion;
  /** A part is null where no condition asks for it. */
  readonly sample: Sample;
}

export interface Sample {
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  /** The other fields of a question. */
  readonly flow: Partial<FlowQuestion>;
  /** Whether the example can be put as a question: facts that cannot be looked into have none. */
  readonly shown: boolean;
}

export const ANY_METHOD: MethodSet = { others: true, names: [] };
export const ANY_REQUEST: RequestRegion = { methods: ANY_METHOD, hosts: EVERY, paths: EVERY, when: [] };

const NO_SAMPLE: Sample = { method: null, host: null, path: null, flow: {}, shown: true };

interface Part<Label> {
  readonly key: string;
  readonly label: Label;
  readonly hosts: PatternSet;
  readonly paths: PatternSet;
  readonly host: string | null;
  readonly path: string | null;
}

/** Parts all requests by what `judge` says of them. Regions of one label don't overlap. */
export function partRequests<Label>(conditions: readonly Condition[], clock: Clock, judge: Judge<Label>): Labelled<Label>[] {
  const parts = new FactParts(conditions, clock, judge);
  return byMethod(conditions, parts).map(({ label: { label, when, known }, region, sample }) => {
    return { label, region: { ...region, when }, sample: { ...sample, ...parts.example(known) } };
  });
}

/** The same for flows that are no requests: only further facts part them. `conditions` are those that such flows meet otherwise. */
export function partOthers<Label>(conditions: readonly Condition[], clock: Clock, judge: Judge<Label>): Labelled<Label>[] {
  const parts = new FactParts(conditions, clock, judge);
  return parts.ask(new Set(conditions)).map(({ label: { label, when, known } }) => {
    return { label, region: { ...ANY_REQUEST, when }, sample: { ...NO_SAMPLE, ...parts.example(known) } };
  });
}

export function isInRegion(
  { methods, hosts, paths }: RequestRegion,
  { method, host, path }: Pick<HttpFacts, 'method' | 'host' | 'path'>,
): boolean {
  return methods.names.includes(method) !== methods.others && isInSet(hosts, host, 'host') && isInSet(paths, path, 'path');
}

function byMethod<Label>(conditions: readonly Condition[], judge: Asked<Label>): Labelled<Label>[] {
  const named = [...new Set(conditions.flatMap(({ methods }) => methods ?? []))];
  const classes = new Map<string, { methods: string[]; others: boolean; sample: string; parts: Part<Label>[] }>();
  const memo = new Map<string, Part<Label>[]>();
  const numbers = new Map(conditions.map((condition, i) => [condition, i]));
  for (const method of [...named, null]) {
    const open = conditions.filter(({ methods }) => methods === null || (method !== null && methods.includes(method)));
    const parts = remember(memo, numbers, open, () => byHost(open, judge, numbers));
    const key = partsKey(parts);
    const found = classes.get(key);
    if (found === undefined)
      classes.set(key, { methods: method === null ? [] : [method], others: method === null, sample: method ?? unnamed(named), parts });
    else {
      found.parts = mergeParts(found.parts, parts, judge);
      if (method === null) found.others = true;
      else found.methods.push(method);
    }
  }
  return [...classes.values()].flatMap(({ methods, others, sample, parts }) => {
    const names = others ? named.filter((name) => !methods.includes(name)) : methods;
    return parts.map(({ label, hosts, paths, host, path }) => ({
      label,
      region: { methods: { others, names: names.sort() }, hosts, paths, when: [] },
      sample: { ...NO_SAMPLE, method: named.length === 0 ? null : sample, host, path },
    }));
  });
}

/** A method that no condition names. */
function unnamed(named: readonly string[]): string {
  const usual = ['GET', 'POST', 'PUT', 'OTHER'].find((name) => !named.includes(name));
  return usual ?? `${named.reduce((a, b) => (a.length > b.length ? a : b))}X`;
}

function byHost<Label>(conditions: readonly Condition[], judge: Asked<Label>, numbers: ReadonlyMap<Condition, number>): Part<Label>[] {
  if (conditions.every(({ hosts }) => hosts === null)) return byPath(conditions, judge);
  const always = conditions.filter(({ hosts }) => hosts === null);
  const tree = new PatternTree<Condition>('host', patternsOf(conditions, 'host'));
  const memo = new Map<string, Part<Label>[]>();
  /** Hosts whose paths part alike. */
  const classes = new Map<string, { nodes: Set<number>; sample: string; parts: Part<Label>[] }>();
  for (const node of tree.nodes.keys()) {
    const sample = tree.sample(node);
    if (sample === null) continue;
    const open = [...always, ...tree.ownersOf(node)];
    const parts = remember(memo, numbers, open, () => byPath(open, judge));
    const key = partsKey(parts);
    const found = classes.get(key);
    if (found === undefined) classes.set(key, { nodes: new Set([node]), sample, parts });
    else {
      found.parts = mergeParts(found.parts, parts, judge);
      found.nodes.add(node);
    }
  }
  return [...classes.values()].flatMap(({ nodes, sample, parts }) => {
    const hosts = tree.setOf((node) => nodes.has(node));
    return parts.map((part) => ({ ...part, hosts, host: sample }));
  });
}

function byPath<Label>(conditions: readonly Condition[], judge: Asked<Label>): Part<Label>[] {
  if (conditions.every(({ paths }) => paths === null)) {
    return judge.ask(new Set(conditions)).map(({ key, label }) => ({ key, label, hosts: EVERY, paths: EVERY, host: null, path: null }));
  }
  const always = conditions.filter(({ paths }) => paths === null);
  const tree = new PatternTree<Condition>('path', patternsOf(conditions, 'path'));
  const labels = new Map<string, { label: Label; nodes: Set<number>; sample: string }>();
  for (const node of tree.nodes.keys()) {
    const answers = judge.ask(new Set([...always, ...tree.ownersOf(node)]));
    const sample = answers.length === 0 ? null : tree.sample(node);
    if (sample === null) continue;
    for (const { key, label } of answers) {
      const found = labels.get(key);
      if (found === undefined) labels.set(key, { label, nodes: new Set([node]), sample });
      else {
        found.label = judge.merge(found.label, label);
        found.nodes.add(node);
      }
    }
  }
  return [...labels].map(([key, { label, nodes, sample }]) => {
    return { key, label, hosts: EVERY, paths: tree.setOf((node) => nodes.has(node)), host: null, path: sample };
  });
}

/** Parts with equal keys, label by label. */
function mergeParts<Label>(first: readonly Part<Label>[], second: readonly Part<Label>[], judge: Asked<Label>): Part<Label>[] {
  const others = new Map(second.map((part) => [partsKey([part]), part]));
  return first.map((part) => ({ ...part, label: judge.merge(part.label, others.get(partsKey([part]))!.label) }));
}

function* patternsOf(conditions: readonly Condition[], dimension: Dimension): Generator<readonly [Pattern, Condition]> {
  for (const condition of conditions) {
    if (dimension === 'host') {
      for (const { exact, suffix } of condition.hosts ?? [])
        yield [exact === null ? { exact: false, text: suffix! } : { exact: true, text: exact }, condition];
    } else {
      for (const { exact, prefix } of condition.paths ?? []) {
        if (exact !== null) yield [{ exact: true, text: exact }, condition];
        if (prefix !== null) yield [{ exact: false, text: prefix }, condition];
      }
    }
  }
}

function partsKey(parts: readonly Part<unknown>[]): string {
  return parts
    .map(({ key, hosts, paths }) => JSON.stringify([key, hosts, paths]))
    .sort()
    .join();
}

function remember<Value>(
  memo: Map<string, Value>,
  numbers: ReadonlyMap<Condition, number>,
  open: readonly Condition[],
  make: () => Value,
): Value {
  const key = open.map((condition) => numbers.get(condition)).join();
  let value = memo.get(key);
  if (value === undefined) memo.set(key, (value = make()));
  return value;
}
