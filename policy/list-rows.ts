/** Lists of rules to rows of programs: the rules that decide, and beside them those that are only counted. */
import type { Mode, Rule } from '../config/document.ts';
import { NOT_ASKED } from './layout.ts';
import type { Partition } from './partition.ts';
import { NO_PARTS, type ProgramTable } from './programs.ts';
import type { RecordTable } from './records.ts';
import { inactivity } from './schedule.ts';
import { NOBODY } from './sources.ts';
import { NO_PORT, portClassifier, type SourcedRule } from './sweep.ts';

/** The row of the rules that decide, and that of the shadow rules: NOT_ASKED for none. */
export type Rows = readonly [enforced: number, shadow: number];

export class ListRows {
  readonly table: ProgramTable;
  readonly #records: RecordTable;
  readonly #atoms: Partition;
  readonly #now: number | null;

  /** `records` has all rules, and is settled. `now` is the moment, in milliseconds since 1970; null: every rule holds. */
  constructor(records: RecordTable, table: ProgramTable, atoms: Partition, now: number | null) {
    this.table = table;
    this.#records = records;
    this.#atoms = atoms;
    this.#now = now;
  }

  /**
   * The rows of a list whose first record is this one, at a port. Rules that decide nothing are there without sources, so that the others keep their numbers:
   * those that don't hold now, and those that ask for a request in tcp mode, where no flow is one, or for a database in http mode.
   */
  rows(rules: readonly SourcedRule[], firstRecord: number, mode: Mode, port: number): Rows {
    const isHeard = (rule: Rule) => (mode === 'http' ? rule.database : rule.http) === null && inactivity(rule, this.#now) === null;
    const shadows = rules.some(({ rule }) => rule.shadow && isHeard(rule));
    return [
      this.#row(rules, firstRecord, port, (rule) => !rule.shadow && isHeard(rule), true),
      shadows ? this.#row(rules, firstRecord, port, (rule) => rule.shadow && isHeard(rule), false) : NOT_ASKED,
    ];
  }

  /** None of the shadow rules ends a list, so what theirs come to is not asked. */
  #row(rules: readonly SourcedRule[], firstRecord: number, port: number, keeps: (rule: Rule) => boolean, decides: boolean): number {
    const kept = withoutSource(rules, keeps);
    const facts = this.#records.facts.slice(firstRecord, firstRecord + rules.length);
    const certain = this.#partRow(kept, firstRecord, port, 'certain');
    const isSame = kept.every((entry) => entry.certain === entry.byAddress);
    const byAddress = isSame ? certain : this.#partRow(kept, firstRecord, port, 'byAddress');
    return this.table.addRow(kept, facts, port, this.#atoms, { certain, byAddress }, decides);
  }

  /** The row of rules from some of their addresses, those from where it is not asked who the client is; -1 for none. */
  #partRow(rules: readonly SourcedRule[], firstRecord: number, port: number, part: 'certain' | 'byAddress'): number {
    const isThere = (entry: SourcedRule) => entry.source !== NOBODY && (entry[part] ?? NOBODY) !== NOBODY;
    if (!rules.some(isThere)) return -1;
    const facts = this.#records.byAddressFacts.slice(firstRecord, firstRecord + rules.length);
    const kept = rules.map((entry) => ({ ...entry, source: isThere(entry) ? entry[part]! : NOBODY }));
    return this.table.addRow(kept, facts, port, this.#atoms, NO_PARTS, false);
  }
}

function withoutSource(rules: readonly SourcedRule[], keeps: (rule: Rule) => boolean): readonly SourcedRule[] {
  return rules.every(({ rule }) => keeps(rule)) ? rules : rules.map((entry) => (keeps(entry.rule) ? entry : { ...entry, source: NOBODY }));
}

/** The rows of guardrails and baseline, which applications share: they depend on the VIP's port and the mode alone. */
export class ForAll {
  readonly #guardrails: readonly SourcedRule[];
  readonly #baseline: readonly SourcedRule[];
  readonly #lists: ListRows;
  readonly #classOf: (port: number) => number;
  readonly #known = new Map<string, readonly [guardrails: Rows, baseline: Rows]>();

  /** Their records come first, those of the guardrails before those of the baseline. */
  constructor(guardrails: readonly SourcedRule[], baseline: readonly SourcedRule[], lists: ListRows) {
    this.#guardrails = guardrails;
    this.#baseline = baseline;
    this.#lists = lists;
    this.#classOf = portClassifier([...guardrails, ...baseline].map(({ rule }) => rule));
  }

  rows(port: number, mode: Mode): readonly [guardrails: Rows, baseline: Rows] {
    const key = `${port === NO_PORT ? 'unix' : this.#classOf(port)} ${mode}`;
    let rows = this.#known.get(key);
    if (rows === undefined) {
      rows = [this.#lists.rows(this.#guardrails, 0, mode, port), this.#lists.rows(this.#baseline, this.#guardrails.length, mode, port)];
      this.#known.set(key, rows);
    }
    return rows;
  }
}
