/**
 * What is wrong with a node now, in one list: each part that finds something puts it here, and takes it back when it is over. Whoever looks
 * (status, dashboard, metrics) reads one list and need not know the parts.
 */
import { PROBLEM_KINDS, type Problem, type ProblemKind } from './view.ts';

/** Subjects come from the file, which may have 4,096 servers that are all down: more than this tells nobody more. The count goes on. */
const PROBLEMS_A_KIND_MAX = 100;
const MESSAGE_CHARACTERS_MAX = 500;

/** What is wrong with a subject; `since` where the part knows it better than the list, which knows only when it was first told. */
export type Found = readonly [subject: string, message: string, since?: number];

/** What a part finds when it is asked. */
export type Finding = () => Iterable<Found>;

interface Noted {
  readonly message: string;
  readonly since: number;
}

export class Problems {
  readonly #noted = new Map<ProblemKind, Map<string, Noted>>();
  readonly #findings: { readonly kind: ProblemKind; readonly find: Finding }[] = [];
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Something is wrong with `subject`. Said again it keeps its moment, also with other words. */
  set(kind: ProblemKind, subject: string, message: string, begun?: number): void {
    const noted = this.#of(kind);
    const since = begun ?? noted.get(subject)?.since ?? this.#now();
    noted.set(subject, { message: message.slice(0, MESSAGE_CHARACTERS_MAX), since });
  }

  clear(kind: ProblemKind, subject: string): void {
    this.#noted.get(kind)?.delete(subject);
  }

  /** All that is wrong of a kind, by subject: what is not in it is over. */
  settle(kind: ProblemKind, found: Iterable<Found>): void {
    const now = new Map([...found].map((one) => [one[0], one]));
    for (const subject of [...this.#of(kind).keys()]) if (!now.has(subject)) this.clear(kind, subject);
    for (const [subject, message, since] of now.values()) this.set(kind, subject, message, since);
  }

  /** Asks `find` whenever somebody looks; a kind is either found this way or told by `set`, `clear` and `settle`. */
  ask(kind: ProblemKind, find: Finding): void {
    this.#findings.push({ kind, find });
  }

  /** Oldest first within a kind; at most `PROBLEMS_A_KIND_MAX` of each. */
  list(): readonly Problem[] {
    this.#look();
    return PROBLEM_KINDS.flatMap((kind) =>
      [...this.#of(kind)]
        .map(([subject, { message, since }]): Problem => ({ kind, subject, message, since }))
        .sort((a, b) => a.since - b.since)
        .slice(0, PROBLEMS_A_KIND_MAX),
    );
  }

  /** Every kind, also those of which there is nothing now. */
  counts(): ReadonlyMap<ProblemKind, number> {
    this.#look();
    return new Map(PROBLEM_KINDS.map((kind) => [kind, this.#of(kind).size]));
  }

  #look(): void {
    for (const { kind, find } of this.#findings) this.settle(kind, find());
  }

  #of(kind: ProblemKind): Map<string, Noted> {
    let noted = this.#noted.get(kind);
    if (noted === undefined) this.#noted.set(kind, (noted = new Map()));
    return noted;
  }
}
