/**
 * Sources that depend on who the client has proved to be, as a union of cases: addresses and identities that must be there, and ones that
 * must not. Nodes are those of a source graph.
 */
import { IDENTITY_CASES_MAX } from '../config/limits.ts';

/** One way of being meant. Nothing said is everybody. */
export interface OpenCase {
  /** Nodes that must all hold the address, and nodes none of which may. */
  readonly all: readonly number[];
  readonly none: readonly number[];
  /** Lists of patterns of which each must have one of the identities, and patterns that none may match. */
  readonly has: readonly (readonly string[])[];
  readonly hasNot: readonly string[];
}

export const EVERYBODY: OpenCase = { all: [], none: [], has: [], hasNot: [] };

/** Who is in one of `meant` and in none of `taken`. Throws RangeError where this comes to more than IDENTITY_CASES_MAX. */
export function without(meant: readonly OpenCase[], taken: readonly OpenCase[]): OpenCase[] {
  let left = [...meant];
  for (const one of taken) left = bothOf(left, outside(one));
  return left;
}

/** Everyone who is not in a case: who lacks one thing that it asks for. */
function outside({ all, none, has, hasNot }: OpenCase): OpenCase[] {
  return [
    ...all.map((node) => ({ ...EVERYBODY, none: [node] })),
    ...none.map((node) => ({ ...EVERYBODY, all: [node] })),
    ...has.map((list) => ({ ...EVERYBODY, hasNot: list })),
    ...(hasNot.length === 0 ? [] : [{ ...EVERYBODY, has: [hasNot] }]),
  ];
}

function bothOf(first: readonly OpenCase[], second: readonly OpenCase[]): OpenCase[] {
  if (first.length * second.length > IDENTITY_CASES_MAX)
    throw new RangeError(`a source with identities comes to more than ${IDENTITY_CASES_MAX} cases: name fewer exceptions of exceptions`);
  const found = new Map<string, OpenCase>();
  for (const one of first) {
    for (const other of second) {
      const both: OpenCase = {
        all: [...new Set([...one.all, ...other.all])].sort(ascending),
        none: [...new Set([...one.none, ...other.none])].sort(ascending),
        has: distinct([...one.has, ...other.has]),
        hasNot: [...new Set([...one.hasNot, ...other.hasNot])].sort(),
      };
      if (!isImpossible(both)) found.set(JSON.stringify(both), both);
    }
  }
  return widest([...found.values()]);
}

/** Without those that another one has all of. */
function widest(cases: readonly OpenCase[]): OpenCase[] {
  return cases.filter((one, i) => !cases.some((other, j) => j !== i && isWithin(one, other) && (j < i || !isWithin(other, one))));
}

/** Whether whoever is in `one` is in `other`: it asks for nothing more. */
function isWithin(one: OpenCase, other: OpenCase): boolean {
  return (
    other.all.every((node) => one.all.includes(node)) &&
    other.none.every((node) => one.none.includes(node)) &&
    other.has.every((list) => one.has.some((narrower) => narrower.every((pattern) => list.includes(pattern)))) &&
    other.hasNot.every((pattern) => one.hasNot.includes(pattern))
  );
}

function isImpossible({ all, none, has, hasNot }: OpenCase): boolean {
  return all.some((node) => none.includes(node)) || has.some((list) => list.every((pattern) => hasNot.includes(pattern)));
}

function distinct(lists: readonly (readonly string[])[]): (readonly string[])[] {
  return [...new Map(lists.map((list) => [list.join('\n'), list])).values()];
}

function ascending(a: number, b: number): number {
  return a - b;
}
