/** Rules as they are written, for the image: numbers for deciding, texts for people. Every text is stored once. */
import { type Action, DENY_WITH, type Rule, type SourceTerm } from '../config/document.ts';
import type { HttpMatch } from '../config/match.ts';
import type { ProtocolSet } from '../config/protocols.ts';
import { ASKS_IDENTITY, ASKS_REQUEST, ASKS_TLS, type DemandRecord, takeApart } from './demand.ts';
import { handlesOf } from './handles.ts';
import { NOT_ASKED, RECORD_WORDS } from './layout.ts';
import { ACTIONS, ALL_PROTOCOLS, type RuleFacts } from './outcome.ts';
import { PatternIndex } from './pattern-index.ts';
import { type Inactivity, periodText } from './schedule.ts';

/** Terms of a rule's source that its text shows; the rest are counted. */
const TERMS_SHOWN = 6;

/** Flags of a record: why it does not hold (0: it does), bits for shadow and log, and above them what a denial gets + 1. */
export const INACTIVITIES: readonly (Inactivity | null)[] = [null, 'expired', 'off-schedule'];
export const INACTIVITY_MASK = 3;
export const SHADOW_FLAG = 4;
export const LOG_FLAG = 8;
export const DENY_WITH_SHIFT = 4;

export class RecordTable {
  readonly records: number[] = [];
  readonly conditions: number[] = [];
  readonly lists: number[] = [];
  readonly #texts = new Map<string, number>();
  readonly patterns = new PatternIndex();
  /** Of each record, what its program is made from; and the same from where it is not asked who the client is. */
  readonly facts: RuleFacts[] = [];
  readonly byAddressFacts: RuleFacts[] = [];
  readonly #masks = new Set<ProtocolSet>();
  readonly #known = new Map<string, number>();

  get count(): number {
    return this.records.length / RECORD_WORDS;
  }

  /** The number of a text. */
  text(text: string): number {
    let number = this.#texts.get(text);
    if (number === undefined) {
      number = this.#texts.size;
      this.#texts.set(text, number);
    }
    return number;
  }

  /** `unknown` says in words what is not known of its sources; null where all is. */
  add(rule: Rule, inactive: Inactivity | null = null, unknown: string | null = null, demand: DemandRecord | null = null): void {
    const ports = rule.ports ?? [];
    if (rule.protocols !== null) this.#masks.add(rule.protocols & ALL_PROTOCOLS);
    this.#noteFacts(rule, demand);
    this.records.push(
      this.text(rule.name),
      this.text(rule.place.file),
      rule.place.line,
      rule.place.column,
      ACTIONS.indexOf(rule.action),
      rule.protocols === null ? ALL_PROTOCOLS : rule.protocols & ALL_PROTOCOLS,
      rule.http === null ? NOT_ASKED : this.#condition(rule.http, rule.action),
      this.text(sourceText(rule)),
      this.lists.length,
      rule.ports === null ? NOT_ASKED : ports.length,
      flagsOf(rule, inactive),
      this.#textOrNone(periodText(rule)),
      this.#textOrNone(unknown),
      this.#textOrNone(rule.limits === null ? null : JSON.stringify(rule.limits)),
      this.#textOrNone(demand === null ? null : JSON.stringify(demand)),
      this.#textOrNone(rule.onRevoke === null ? null : JSON.stringify(rule.onRevoke)),
    );
    for (const [first, last] of ports) this.lists.push(first, last);
  }

  /** One protocol of each class that the rules can tell apart, the first of its class. */
  protocolClasses(): ProtocolSet {
    let classes = [ALL_PROTOCOLS];
    for (const mask of this.#masks) classes = classes.flatMap((one) => [one & mask, one & ~mask]).filter((one) => one !== 0);
    return classes.reduce((set, one) => set | (one & -one), 0);
  }

  encodeTexts(): { textStarts: Uint32Array; texts: Uint8Array } {
    const textStarts = new Uint32Array(this.#texts.size + 1);
    const all = [...this.#texts.keys()];
    for (let i = 0; i < all.length; i++) textStarts[i + 1] = textStarts[i]! + Buffer.byteLength(all[i]!);
    return { textStarts, texts: Buffer.from(all.join('')) };
  }

  /** Says of all rules how they are found. To be called once, when all are there. */
  settle(): void {
    for (const [record, { levels, fromAll }] of this.patterns.settle()) {
      this.facts[record] = { ...this.facts[record]!, levels };
      // Before it is known who a client is, lists keep rules for ones of which an identity is asked.
      const byAddress = fromAll & ~(1 << 1);
      this.byAddressFacts[record] = { ...this.byAddressFacts[record]!, levels: byAddress };
    }
  }

  #noteFacts(rule: Rule, demand: DemandRecord | null): void {
    const facts: RuleFacts = {
      protocols: rule.protocols === null ? ALL_PROTOCOLS : rule.protocols & ALL_PROTOCOLS,
      conditional: rule.http !== null || demand !== null,
      asksHttp: rule.http !== null,
      demanding: demand !== null,
      asks: asksOf(rule, demand),
      levels: 0,
      action: ACTIONS.indexOf(rule.action),
    };
    this.patterns.add(this.count, handlesOf(rule.http, demand === null ? null : takeApart(demand), this.patterns), facts);
    this.facts.push(facts);
    this.byAddressFacts.push({ ...facts, asks: asksOf(rule, null) });
  }

  #textOrNone(text: string | null): number {
    return text === null ? NOT_ASKED : this.text(text);
  }

  /** Equal conditions share a number. One that asks for fields is not the same for a denial, see `matchesHeaders`. */
  #condition(http: HttpMatch, action: Action): number {
    const denies = http.headers !== null && action === 'deny';
    const key = JSON.stringify([http.methods, http.hosts, http.paths, http.headers, denies]);
    let condition = this.#known.get(key);
    if (condition === undefined) {
      condition = this.#known.size;
      this.#known.set(key, condition);
      for (const list of [http.methods, http.hosts, http.paths]) {
        this.conditions.push(this.lists.length, list === null ? NOT_ASKED : list.length);
        for (const text of list ?? []) this.lists.push(this.text(text));
      }
      this.conditions.push(this.lists.length, http.headers === null ? NOT_ASKED : http.headers.length, denies ? 1 : 0);
      for (const { name, values } of http.headers ?? []) {
        this.lists.push(this.text(name), values.length, ...values.map((value) => this.text(value)));
      }
    }
    return condition;
  }
}

function asksOf({ http, tls, identities, database }: Rule, demand: DemandRecord | null): number {
  const byIdentity = identities !== null || (demand !== null && demand.cases !== null);
  return (tls === null ? 0 : ASKS_TLS) | (byIdentity ? ASKS_IDENTITY : 0) | (http === null && database === null ? 0 : ASKS_REQUEST);
}

function flagsOf({ shadow, log, denyWith }: Rule, inactive: Inactivity | null): number {
  const way = denyWith === null ? 0 : DENY_WITH.indexOf(denyWith) + 1;
  return INACTIVITIES.indexOf(inactive) | (shadow ? SHADOW_FLAG : 0) | (log ? LOG_FLAG : 0) | (way << DENY_WITH_SHIFT);
}

function sourceText({ from, except }: Rule): string {
  return except.length === 0 ? termsText(from) : `${termsText(from)} except ${termsText(except)}`;
}

function termsText(terms: readonly SourceTerm[]): string {
  const shown = terms
    .slice(0, TERMS_SHOWN)
    .map((term) => (term.kind === 'any' ? 'any' : term.kind === 'prefix' ? term.prefix.text : term.name));
  if (terms.length > TERMS_SHOWN) shown.push(`${terms.length - TERMS_SHOWN} more`);
  return shown.join(', ');
}
