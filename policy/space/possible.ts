/**
 * What facts can be at once, with an example: dimension by dimension, since facts of two have nothing to do with each other. Texts are
 * looked at by one example of each class that the patterns of the dimension can tell apart.
 */
import type { FlowQuestion } from '../../config/document.ts';
import { IDENTITY_KINDS } from '../../config/identity.ts';
import type { Clock } from './clock.ts';
import type { Fact } from './facts.ts';

/** Of a question, what makes facts hold and others not. */
export interface Example {
  readonly flow: Partial<FlowQuestion>;
  /** Whether the example is one: facts that cannot be looked into have none. */
  readonly shown: boolean;
}

/** Texts of facts, and whether they hold. What is not in it may be either. */
export type Known = ReadonlyMap<string, boolean>;

interface Candidate {
  readonly value: string | null;
  /** Texts of the facts that hold for it alone. */
  readonly holding: ReadonlySet<string>;
}

export class Possible {
  readonly #clock: Clock;
  readonly #dimensions = new Map<string, Fact[]>();
  readonly #candidates = new Map<string, readonly Candidate[]>();
  readonly #memo = new Map<string, Example | null>();

  constructor(facts: readonly Fact[], clock: Clock) {
    this.#clock = clock;
    for (const fact of facts) {
      const others = this.#dimensions.get(fact.dimension);
      if (others === undefined) this.#dimensions.set(fact.dimension, [fact]);
      else others.push(fact);
    }
  }

  /** Whether facts of one dimension can be so. */
  isPossible(dimension: string, known: Known): boolean {
    return this.#exampleIn(dimension, known) !== null;
  }

  /** A flow of which all of this is so. */
  example(known: Known): Example {
    let found: Example = { flow: {}, shown: true };
    for (const dimension of this.#dimensions.keys()) {
      const part = this.#exampleIn(dimension, known);
      if (part === null) return { ...found, shown: false };
      const headers = [...(found.flow.headers ?? []), ...(part.flow.headers ?? [])];
      found = { flow: { ...found.flow, ...part.flow, ...(headers.length === 0 ? {} : { headers }) }, shown: found.shown && part.shown };
    }
    return found;
  }

  #exampleIn(dimension: string, known: Known): Example | null {
    const facts = this.#dimensions.get(dimension)!;
    const said = facts.filter(({ text }) => known.has(text));
    if (said.length === 0) return { flow: {}, shown: true };
    const key = said.map(({ text }) => `${known.get(text) ? '+' : '-'}${text}`).join('\n');
    let example = this.#memo.get(key);
    if (example === undefined) this.#memo.set(key, (example = this.#find(said, facts, known)));
    return example;
  }

  #find(said: readonly Fact[], facts: readonly Fact[], known: Known): Example | null {
    const [{ kind, dimension }] = facts as [Fact];
    const agrees = (holding: ReadonlySet<string>) => said.every(({ text }) => holding.has(text) === known.get(text));
    const shown = (flow: Partial<FlowQuestion>): Example => ({ flow, shown: true });
    if (kind === 'opaque') return { flow: {}, shown: false };
    if (kind === 'until' || kind === 'schedule') {
      const moment = this.#clock.moments().find(({ holding }) => agrees(holding));
      return moment === undefined ? null : shown({ at: moment.at });
    }
    const candidates = this.#candidatesOf(dimension, facts);
    if (kind === 'identity' || kind === 'alpn') {
      const values = gather(said, known, candidates);
      return values === null ? null : shown({ [kind === 'alpn' ? 'alpn' : 'identities']: values });
    }
    if (kind === 'keys') {
      const keys = keysFor(said, known, candidates);
      return keys === undefined ? null : shown(keys === null ? {} : { keys });
    }
    const one = candidates.find(({ holding }) => agrees(holding));
    if (one === undefined) return null;
    if (one.value === null) return shown({});
    if (kind === 'header') return shown({ headers: [[facts[0]!.header!.name, one.value]] });
    return shown({ [kind === 'text' ? dimension.slice(dimension.indexOf(' ') + 1) : kind]: one.value });
  }

  #candidatesOf(dimension: string, facts: readonly Fact[]): readonly Candidate[] {
    let found = this.#candidates.get(dimension);
    if (found === undefined) this.#candidates.set(dimension, (found = candidatesOf(facts)));
    return found;
  }
}

/** Values of which each fact that holds has one, and no fact that does not; null where there are none. */
function gather(said: readonly Fact[], known: Known, candidates: readonly Candidate[]): string[] | null {
  const values = new Set<string>();
  const allowed = candidates.filter(({ holding }) => said.every(({ text }) => known.get(text) !== false || !holding.has(text)));
  for (const { text } of said) {
    if (known.get(text) !== true) continue;
    const one = allowed.find(({ value, holding }) => value !== null && holding.has(text));
    if (one === undefined) return null;
    values.add(one.value!);
  }
  return [...values];
}

/**
 * Keys of a command; null where they cannot be told, undefined where no keys make it so. A denial asks for one key of its own, everything
 * else for at least one key and none but its own.
 */
function keysFor(said: readonly Fact[], known: Known, candidates: readonly Candidate[]): string[] | null | undefined {
  const holds = said.filter(({ text }) => known.get(text) === true);
  const fails = said.filter(({ text }) => known.get(text) === false);
  if (holds.length === 0) return [];
  const allowed = candidates.filter(
    ({ value, holding }) =>
      value !== null &&
      holds.every(({ text, denies }) => denies || holding.has(text)) &&
      fails.every(({ text, denies }) => !denies || !holding.has(text)),
  );
  const isRight =
    allowed.length > 0 &&
    holds.every(({ text, denies }) => !denies || allowed.some(({ holding }) => holding.has(text))) &&
    fails.every(({ text, denies }) => denies || allowed.some(({ holding }) => !holding.has(text)));
  if (isRight) return allowed.map(({ value }) => value!);
  return holds.every(({ denies }) => denies) && fails.every(({ denies }) => !denies) ? null : undefined;
}

/** One value of each class that patterns can tell apart, and none at all. */
function candidatesOf(facts: readonly Fact[]): Candidate[] {
  const [{ kind }] = facts as [Fact];
  const patterns = [...new Set(facts.flatMap(({ values }) => values))];
  const owners = new Map<string, string[]>();
  for (const { text, values } of facts) for (const value of values) owners.set(value, [...(owners.get(value) ?? []), text]);
  const matches = kind === 'sni' ? matchesName : matchesText;
  const found = new Map<string, Candidate>();
  const add = (value: string | null) => {
    const holding = new Set<string>();
    if (value !== null)
      for (const pattern of patterns) if (matches(pattern, value)) for (const text of owners.get(pattern)!) holding.add(text);
    // What cannot be told is the client's loss.
    if (value === null && kind === 'text') for (const { text, denies } of facts) if (denies) holding.add(text);
    const key = [...holding].join('\n');
    if (!found.has(key)) found.set(key, { value, holding });
  };
  // Redis names whoever has no name.
  if (kind !== 'text' || facts[0]!.dimension !== 'redis user') add(null);
  for (const pattern of patterns) if (!isOpen(pattern)) add(pattern);
  for (const pattern of patterns.filter(isOpen)) {
    for (const stem of kind === 'sni' ? [pattern.slice(1)] : stemsOf(kind, pattern.slice(0, -1))) {
      add(fresh(stem, patterns, kind));
      if (kind !== 'sni' && stem !== '') add(stem);
    }
  }
  if (kind === 'text' || kind === 'keys' || kind === 'header') add(fresh('', patterns, kind));
  return [...found.values()];
}

function isOpen(pattern: string): boolean {
  return pattern.startsWith('*') || pattern.endsWith('*');
}

/** What patterns of a kind must begin with, so that an example is one. */
function stemsOf(kind: Fact['kind'], stem: string): readonly string[] {
  if (kind === 'identity') {
    // A kind alone is no identity, nor is a part of one.
    const within = IDENTITY_KINDS.filter((start) => start.startsWith(stem));
    return stem === '' ? [...within] : [stem];
  }
  return kind === 'ja4' && stem === '' ? ['t', 'q', 'd'] : [stem];
}

const CHARACTERS = [...'xqzjkvw0123456789abcdefghilmnoprstuy'];

/** A text that begins (a name: ends) in `stem` and that no narrower pattern matches, as far as its next character tells. */
function fresh(stem: string, patterns: readonly string[], kind: Fact['kind']): string {
  const taken = new Set<string>();
  for (const pattern of patterns) {
    const text = pattern.replaceAll('*', '');
    if (kind === 'sni') {
      if (text.length > stem.length && text.endsWith(stem)) taken.add(text[text.length - stem.length - 1]!);
    } else if (text.length > stem.length && text.startsWith(stem)) taken.add(text[stem.length]!);
  }
  const free = CHARACTERS.find((character) => !taken.has(character)) ?? 'x';
  return kind === 'sni' ? `${free}${stem}` : `${stem}${free}`;
}

function matchesText(pattern: string, value: string): boolean {
  return pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

function matchesName(pattern: string, value: string): boolean {
  return pattern.startsWith('*') ? value.length >= pattern.length && value.endsWith(pattern.slice(1)) : value === pattern;
}
