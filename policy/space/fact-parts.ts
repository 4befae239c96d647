/**
 * What a judge says, depending on further facts of a flow. Facts are asked for one after the other, and only those on which the answer
 * still depends, so that a list of rules that each ask for one fact has as many cases as rules.
 */
import type { FlowQuestion } from '../../config/document.ts';
import type { Clock } from './clock.ts';
import { TooManyFacts } from './facts.ts';
import type { Condition } from './lines.ts';
import { type Known, Possible } from './possible.ts';

/** Facts that hold, and facts that don't. */
export interface Combination {
  readonly holding: readonly string[];
  readonly failing: readonly string[];
}

/** What is said of flows that match exactly the conditions given. Labels with equal keys are one, made by `merge`. */
export interface Asked<Label> {
  ask(matching: ReadonlySet<Condition>): readonly { readonly key: string; readonly label: Label }[];
  /** Of the first the example is kept. */
  merge(first: Label, second: Label): Label;
}

export interface Judge<Label> extends Asked<Label> {
  /** The first condition of `maybe` on which an answer can still depend, where those of `matching` match; null for none. */
  next(matching: ReadonlySet<Condition>, maybe: ReadonlySet<Condition>): Condition | null;
  /** How many combinations of facts may still be gone through, where several places share a bound. */
  readonly budget?: { left: number };
}

/** An answer, and the combinations of facts of which one is there; none: facts make no difference. */
export interface FactPart<Label> {
  readonly label: Label;
  readonly when: readonly Combination[];
  /** Of the first combination. */
  readonly known: Known;
}

/** More combinations of facts than this for one kind of request, and than this for all, are not gone through. */
const LEAVES_MOST = 2_048;
const LEAVES_OF_ALL_MOST = 32_768;

interface Leaf<Label> {
  readonly known: Known;
  readonly answers: ReadonlyMap<string, Label>;
}

export class FactParts<Label> implements Asked<FactPart<Label>> {
  readonly #judge: Judge<Label>;
  readonly #possible: Possible;
  readonly #hasFacts: boolean;
  readonly #budget: { left: number };

  constructor(conditions: readonly Condition[], clock: Clock, judge: Judge<Label>) {
    const facts = conditions.flatMap((condition) => [...condition.facts, ...condition.absent]);
    this.#hasFacts = facts.length > 0;
    this.#possible = new Possible([...new Map(facts.map((fact) => [fact.text, fact])).values()], clock);
    this.#judge = judge;
    this.#budget = judge.budget ?? { left: LEAVES_OF_ALL_MOST };
  }

  /** `matching` match as far as requests go. */
  ask(matching: ReadonlySet<Condition>): { key: string; label: FactPart<Label> }[] {
    if (!this.#hasFacts) {
      return this.#judge.ask(matching).map(({ key, label }) => ({ key, label: { label, when: [], known: new Map() } }));
    }
    const leaves = this.#leaves([...matching]);
    const found = new Map<string, { label: Label; readonly known: Known; readonly when: Combination[] }>();
    for (const { known, answers } of leaves) {
      for (const [key, label] of answers) {
        const other = found.get(key);
        if (other === undefined) found.set(key, { label, known, when: [combinationOf(known)] });
        else {
          other.label = this.#judge.merge(other.label, label);
          other.when.push(combinationOf(known));
        }
      }
    }
    return [...found].map(([key, { label, known, when }]) => {
      const said = when.length === leaves.length ? [] : when;
      return { key: `${key} ${JSON.stringify(said)}`, label: { label, when: said, known } };
    });
  }

  merge(first: FactPart<Label>, second: FactPart<Label>): FactPart<Label> {
    return { ...first, label: this.#judge.merge(first.label, second.label) };
  }

  /** The fields of a question of which facts are so. */
  example(known: Known): { flow: Partial<FlowQuestion>; shown: boolean } {
    return this.#possible.example(known);
  }

  #leaves(conditions: readonly Condition[]): Leaf<Label>[] {
    let count = 0;
    const from = (known: Known): Leaf<Label>[] => {
      const matching = new Set(conditions.filter((condition) => stateOf(condition, known) === true));
      const maybe = new Set(conditions.filter((condition) => stateOf(condition, known) === null));
      const next = maybe.size === 0 ? null : this.#judge.next(matching, maybe);
      if (next === null) {
        if (++count > LEAVES_MOST || --this.#budget.left < 0) throw new TooManyFacts('too many facts in one place to be gone through');
        return [{ known, answers: new Map(this.#judge.ask(matching).map(({ key, label }) => [key, label])) }];
      }
      const { text, dimension } = [...next.facts, ...next.absent].find((fact) => !known.has(fact.text))!;
      const branches = [true, false].map((holds) => {
        const more = new Map(known).set(text, holds);
        return this.#possible.isPossible(dimension, more) ? from(more) : [];
      });
      return this.#joined(branches[0]!, branches[1]!, text);
    };
    return from(new Map());
  }

  /** A fact that makes no difference is not spoken of. */
  #joined(first: Leaf<Label>[], second: Leaf<Label>[], text: string): Leaf<Label>[] {
    const [one, other] = [first[0], second[0]];
    if (first.length !== 1 || second.length !== 1 || !isAlike(one!, other!, text)) return [...first, ...second];
    const known = new Map(one!.known);
    known.delete(text);
    const answers = [...one!.answers].map(([key, label]) => [key, this.#judge.merge(label, other!.answers.get(key)!)] as const);
    return [{ known, answers: new Map(answers) }];
  }
}

/** Whether two leaves say the same, and differ in one fact. */
function isAlike<Label>(one: Leaf<Label>, other: Leaf<Label>, text: string): boolean {
  if (one.answers.size !== other.answers.size || one.known.size !== other.known.size) return false;
  for (const key of one.answers.keys()) if (!other.answers.has(key)) return false;
  for (const [fact, holds] of one.known) if (fact !== text && other.known.get(fact) !== holds) return false;
  return true;
}

/** Whether the facts of a condition are as it wants them; null: that depends on facts not known. */
function stateOf({ facts, absent }: Condition, known: Known): boolean | null {
  let state: boolean | null = true;
  for (const { text } of facts) {
    const holds = known.get(text);
    if (holds === false) return false;
    if (holds === undefined) state = null;
  }
  for (const { text } of absent) {
    const holds = known.get(text);
    if (holds === true) return false;
    if (holds === undefined) state = null;
  }
  return state;
}

function combinationOf(known: Known): Combination {
  const texts = (holds: boolean) => [...known].filter(([, held]) => held === holds).map(([text]) => text);
  return { holding: texts(true).sort(), failing: texts(false).sort() };
}
