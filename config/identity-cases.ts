/**
 * Sources that depend on identities are decided case by case, and exceptions of exceptions multiply the cases. What would come to too many
 * is refused here, where it can be said which rule it is.
 */
import type { Rule, Segment, SourceTerm } from './document.ts';
import { IDENTITY_CASES_MAX } from './limits.ts';
import { shown } from './problem.ts';
import type { Path, Report } from './tree.ts';

/** How many addresses, identities, and absences of identities (which are one, however many) a case asks for. */
interface Case {
  readonly addresses: number;
  readonly has: number;
  readonly hasNot: 0 | 1;
}

/** null: more cases than are allowed. */
type Cases = readonly Case[] | null;

const ADDRESS: Case = { addresses: 1, has: 0, hasNot: 0 };
const IDENTITY: Case = { addresses: 0, has: 1, hasNot: 0 };
const NOT_IDENTITY: Case = { addresses: 0, has: 0, hasNot: 1 };
const EVERYBODY: Case = { addresses: 0, has: 0, hasNot: 0 };

/** Complains of every segment and rule whose source would come to too many cases. */
export function checkIdentityCases(
  segments: readonly Segment[],
  lists: readonly (readonly [readonly Rule[], Path])[],
  report: Report,
): void {
  if (segments.every(({ identities }) => identities.length === 0)) return;
  const known = casesOfSegments(segments);
  const advice = 'Name fewer segments of identities under except:, or ones without an except: of their own.';
  for (const { name } of segments) {
    if (known.get(name) !== null) continue;
    const message = `The segment ${shown(name)} comes to more than ${IDENTITY_CASES_MAX} cases of who is in it and who is not. ${advice}`;
    report.error('too-many', ['segments', name], message, { side: 'key' });
  }
  for (const [rules, path] of lists) {
    for (const [index, { from, except }] of rules.entries()) {
      if ([...from, ...except].some((term) => term.kind === 'segment' && known.get(term.name) === null)) continue;
      if (between(casesOf(from, known), except, known) !== null) continue;
      const message = `The sources of this rule come to more than ${IDENTITY_CASES_MAX} cases of who is meant and who is not. ${advice}`;
      report.error('too-many', [...path, index], message);
    }
  }
}

/** Without recursion: a chain of segments may be as long as the file. A circle is reported elsewhere. */
function casesOfSegments(segments: readonly Segment[]): Map<string, Cases> {
  const byName = new Map(segments.map((segment) => [segment.name, segment]));
  // Those that addresses alone tell are one case, however they are made up.
  const known = new Map<string, Cases>([...byAddress(segments, byName)].map((name) => [name, []]));
  const entered = new Set<string>();
  const stack = [...segments];
  while (stack.length > 0) {
    const segment = stack.at(-1)!;
    const parts: SourceTerm[] = [...segment.segments.map((name) => ({ kind: 'segment' as const, name })), ...segment.except];
    const missing = parts.flatMap((term) => (term.kind === 'segment' && !known.has(term.name) ? (byName.get(term.name) ?? []) : []));
    if (known.has(segment.name) || missing.length === 0 || entered.has(segment.name)) {
      stack.pop();
      if (known.has(segment.name)) continue;
      const { addresses, pools, countries, asns, dns } = segment;
      const own = [
        ...([addresses, pools, countries, asns, dns].some((list) => list.length > 0) ? [ADDRESS] : []),
        ...(segment.identities.length === 0 ? [] : [IDENTITY]),
      ];
      const added = casesOf(parts.slice(0, segment.segments.length), known);
      known.set(segment.name, between(added === null ? null : [...own, ...added], segment.except, known));
    } else {
      entered.add(segment.name);
      stack.push(...missing);
    }
  }
  return known;
}

function casesOf(terms: readonly SourceTerm[], known: ReadonlyMap<string, Cases>): Cases {
  if (terms.some(({ kind }) => kind === 'any')) return [EVERYBODY];
  const found: Case[] = [];
  let byAddressAlone = false;
  for (const term of terms) {
    const cases = term.kind === 'segment' ? known.get(term.name) : [];
    if (cases === null) return null;
    if (cases === undefined || cases.length === 0) byAddressAlone = true;
    else found.push(...cases);
  }
  if (byAddressAlone) found.push(ADDRESS);
  return found.length > IDENTITY_CASES_MAX ? null : found;
}

/** Whoever is outside of a segment lacks one thing of each of its cases. */
function between(meant: Cases, except: readonly SourceTerm[], known: ReadonlyMap<string, Cases>): Cases {
  const taken = casesOf(except, known);
  if (meant === null || taken === null) return null;
  let left: readonly Case[] = meant;
  for (const { addresses, has, hasNot } of taken) {
    const outside = [
      ...new Array<Case>(addresses).fill(ADDRESS),
      ...new Array<Case>(has).fill(NOT_IDENTITY),
      ...new Array<Case>(hasNot).fill(IDENTITY),
    ];
    if (left.length * outside.length > IDENTITY_CASES_MAX) return null;
    left = left.flatMap((one) => outside.map((other) => both(one, other)));
  }
  return left;
}

function both(one: Case, other: Case): Case {
  return {
    addresses: one.addresses + other.addresses,
    has: one.has + other.has,
    hasNot: one.hasNot === 1 || other.hasNot === 1 ? 1 : 0,
  };
}

function byAddress(segments: readonly Segment[], byName: ReadonlyMap<string, Segment>): Set<string> {
  const users = new Map<string, string[]>();
  for (const { name, segments: parts, except } of segments) {
    for (const term of [...parts, ...except.flatMap((one) => (one.kind === 'segment' ? [one.name] : []))])
      users.set(term, [...(users.get(term) ?? []), name]);
  }
  const left = new Set(byName.keys());
  const open = segments.flatMap(({ name, identities }) => (identities.length === 0 ? [] : [name]));
  while (open.length > 0) {
    const name = open.pop()!;
    if (left.delete(name)) open.push(...(users.get(name) ?? []));
  }
  return left;
}
