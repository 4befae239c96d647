/**
 * A compiled policy: views over one shared buffer. Texts are decoded when they are asked for and kept, so attaching costs nothing
 * that grows with the policy. An image is never changed.
 */
import { formatHostPort, parseAddress } from '../config/address.ts';
import { type Action, DENY_WITH, type DenyWith, type Mode, type Place, type RuleLimits } from '../config/document.ts';
import type { HeaderMatch, OnRevoke } from '../config/match.ts';
import type { ProtocolSet } from '../config/protocols.ts';
import { type Condition, conditionOf } from './condition.ts';
import { type Demand, type DemandRecord, takeApart } from './demand.ts';
import { APPLICATION_WORDS, CONDITION_WORDS, NOT_ASKED, NUMBERS, RECORD_WORDS, sectionOf, textsOf, VIP_WORDS } from './layout.ts';
import { ACTIONS } from './outcome.ts';
import { Proposals } from './proposals.ts';
import { DENY_WITH_SHIFT, INACTIVITIES, INACTIVITY_MASK, LOG_FLAG, SHADOW_FLAG } from './records.ts';
import type { Inactivity } from './schedule.ts';

export type Tier = 'cluster' | 'guardrail' | 'application' | 'baseline' | 'default';

/** Views an image in any thread. Throws where the buffer isn't one. */
export function attachImage(buffer: SharedArrayBuffer): Image {
  return new Image(buffer);
}

export class Image {
  readonly buffer: SharedArrayBuffer;
  readonly vips: Uint32Array;
  readonly applications: Uint32Array;
  readonly records: Uint32Array;
  readonly conditions: Uint32Array;
  readonly lists: Uint32Array;
  readonly ipv4Roots: Uint32Array;
  readonly ipv4Starts: Uint32Array;
  readonly ipv4Atoms: Uint32Array;
  readonly ipv6Starts: Uint32Array;
  readonly ipv6Atoms: Uint32Array;
  readonly clusterAtoms: Uint32Array;
  readonly rowStarts: Uint32Array;
  readonly rowAtoms: Uint32Array;
  readonly rowPrograms: Uint32Array;
  readonly programs: Uint32Array;
  readonly vipCount: number;
  readonly applicationCount: number;
  /** Rules of all applications, see `applicationRuleBase`. */
  readonly ruleCount: number;
  readonly guardrailCount: number;
  readonly baselineCount: number;
  readonly atomCount: number;
  /** One protocol of each class that rules can tell apart. */
  readonly protocolClasses: ProtocolSet;
  /** Whether a rule does not hold for now, is a shadow rule that holds, is logged, or asks for paths: most policies can do without what that takes. */
  readonly hasInactive: boolean;
  /** Whether there are rules that do not always hold. */
  readonly hasPeriods: boolean;
  readonly hasShadows: boolean;
  readonly hasLogged: boolean;
  readonly asksForPaths: boolean;
  /** Whether any rule asks for the ClientHello, its fingerprint, who the client is, or what it wants of a database. */
  readonly asksForTls: boolean;
  readonly asksForJa4: boolean;
  readonly asksForIdentities: boolean;
  readonly asksForDatabases: boolean;
  readonly #numbers: Uint32Array;
  readonly #textStarts: Uint32Array;
  readonly #texts: Buffer;
  readonly #decoded: (string | undefined)[] = [];
  readonly #conditions: (Condition | undefined)[] = [];
  readonly #demands: (Demand | undefined)[] = [];
  readonly #sourceStarts: Uint32Array;
  readonly #sourceAtoms: Uint32Array;
  #proposals: Proposals | null = null;
  #vipIndexes: Map<string, number> | null = null;
  #applicationIndexes: Map<string, number> | null = null;

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.vips = sectionOf(buffer, 'vips');
    this.applications = sectionOf(buffer, 'applications');
    this.records = sectionOf(buffer, 'records');
    this.conditions = sectionOf(buffer, 'conditions');
    this.lists = sectionOf(buffer, 'lists');
    this.ipv4Roots = sectionOf(buffer, 'ipv4Roots');
    this.ipv4Starts = sectionOf(buffer, 'ipv4Starts');
    this.ipv4Atoms = sectionOf(buffer, 'ipv4Atoms');
    this.ipv6Starts = sectionOf(buffer, 'ipv6Starts');
    this.ipv6Atoms = sectionOf(buffer, 'ipv6Atoms');
    this.clusterAtoms = sectionOf(buffer, 'clusterAtoms');
    this.rowStarts = sectionOf(buffer, 'rowStarts');
    this.rowAtoms = sectionOf(buffer, 'rowAtoms');
    this.rowPrograms = sectionOf(buffer, 'rowPrograms');
    this.programs = sectionOf(buffer, 'programs');
    this.#numbers = sectionOf(buffer, 'numbers');
    this.#textStarts = sectionOf(buffer, 'textStarts');
    this.#texts = textsOf(buffer);
    this.#sourceStarts = sectionOf(buffer, 'sourceStarts');
    this.#sourceAtoms = sectionOf(buffer, 'sourceAtoms');
    this.vipCount = this.vips.length / VIP_WORDS;
    this.applicationCount = this.applications.length / APPLICATION_WORDS - 1;
    this.ruleCount = this.applicationRuleBase(this.applicationCount);
    this.atomCount = this.#number('atoms');
    this.protocolClasses = this.#number('protocolClasses');
    this.guardrailCount = this.#number('guardrails');
    this.baselineCount = this.#number('baseline');
    this.hasInactive = this.#number('inactive') > 0;
    this.hasPeriods = this.#number('periods') > 0;
    this.hasShadows = this.#number('shadows') > 0;
    this.hasLogged = this.#number('logs') > 0;
    this.asksForPaths = this.#number('pathsAsked') > 0;
    this.asksForTls = this.#number('tlsAsked') > 0;
    this.asksForJa4 = this.#number('ja4Asked') > 0;
    this.asksForIdentities = this.#number('identitiesAsked') > 0;
    this.asksForDatabases = this.#number('databasesAsked') > 0;
  }

  /** The VIP with this endpoint text, as written or in canonical form; -1 for none. */
  vipIndex(endpointText: string): number {
    if (this.#vipIndexes === null) {
      this.#vipIndexes = new Map();
      for (let vip = 0; vip < this.vipCount; vip++) this.#vipIndexes.set(canonicalEndpoint(this.vipEndpoint(vip)), vip);
      for (let vip = 0; vip < this.vipCount; vip++) this.#vipIndexes.set(this.vipEndpoint(vip), vip);
    }
    return this.#vipIndexes.get(endpointText) ?? -1;
  }

  vipEndpoint(vip: number): string {
    return this.text(this.vips[vip * VIP_WORDS]!);
  }

  vipApplication(vip: number): number {
    return this.vips[vip * VIP_WORDS + 1]!;
  }

  /** The application of this name; -1 for none. */
  applicationIndex(name: string): number {
    if (this.#applicationIndexes === null) {
      this.#applicationIndexes = new Map();
      for (let app = 0; app < this.applicationCount; app++) this.#applicationIndexes.set(this.applicationName(app), app);
    }
    return this.#applicationIndexes.get(name) ?? -1;
  }

  applicationName(app: number): string {
    return this.text(this.applications[app * APPLICATION_WORDS]!);
  }

  applicationMode(app: number): Mode {
    return this.applications[app * APPLICATION_WORDS + 1] === 1 ? 'http' : 'tcp';
  }

  /** Whether the application's enforcement is `observe`: what is denied passes, and is recorded. */
  observes(app: number): boolean {
    return this.applications[app * APPLICATION_WORDS + 2] === 1;
  }

  /**
   * The first of the application's rule ids. They follow each other: `cluster` (allow), the guardrails, its own rules, the baseline,
   * `default` (deny). Every application has ids of its own, so an id names application and rule.
   */
  applicationRuleBase(app: number): number {
    return this.applications[app * APPLICATION_WORDS + 3]!;
  }

  applicationRuleCount(app: number): number {
    return this.applicationRuleBase(app + 1) - this.applicationRuleBase(app);
  }

  ruleApplication(rule: number): number {
    let low = 0;
    let high = this.applicationCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.applicationRuleBase(middle) <= rule) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  ruleTier(rule: number): Tier {
    const app = this.ruleApplication(rule);
    const index = rule - this.applicationRuleBase(app);
    const last = this.applicationRuleCount(app) - 1;
    if (index === 0) return 'cluster';
    if (index === last) return 'default';
    if (index <= this.guardrailCount) return 'guardrail';
    return index < last - this.baselineCount ? 'application' : 'baseline';
  }

  ruleName(rule: number): string {
    const record = this.ruleRecord(rule);
    if (record >= 0) return this.text(this.records[record * RECORD_WORDS]!);
    return this.text(this.#number(this.ruleTier(rule) === 'cluster' ? 'clusterName' : 'defaultName'));
  }

  /** null for `cluster` and `default`, which nobody wrote. */
  rulePlace(rule: number): Place | null {
    const record = this.ruleRecord(rule);
    if (record < 0) return null;
    const at = record * RECORD_WORDS;
    return { file: this.text(this.records[at + 1]!), line: this.records[at + 2]!, column: this.records[at + 3]! };
  }

  ruleAction(rule: number): Action {
    const record = this.ruleRecord(rule);
    if (record >= 0) return ACTIONS[this.records[record * RECORD_WORDS + 4]!]!;
    return this.ruleTier(rule) === 'cluster' ? 'allow' : 'deny';
  }

  /** Why a rule does not hold at the moment that the policy was compiled for; null where it does. */
  ruleInactivity(rule: number): Inactivity | null {
    return INACTIVITIES[this.#flags(rule) & INACTIVITY_MASK]!;
  }

  /** When a rule holds, in words; null: always. */
  rulePeriod(rule: number): string | null {
    return this.#recordText(rule, 11);
  }

  /** What is not known of a rule's sources, in words; null where all is known. */
  ruleUnknown(rule: number): string | null {
    return this.#recordText(rule, 12);
  }

  /** A rule that is counted and not enforced. */
  ruleShadows(rule: number): boolean {
    return (this.#flags(rule) & SHADOW_FLAG) !== 0;
  }

  ruleLogs(rule: number): boolean {
    return (this.#flags(rule) & LOG_FLAG) !== 0;
  }

  /** What a client gets that this rule denies; null: what is usual where it is denied. */
  ruleDenyWith(rule: number): DenyWith | null {
    return DENY_WITH[(this.#flags(rule) >>> DENY_WITH_SHIFT) - 1] ?? null;
  }

  ruleLimits(rule: number): RuleLimits | null {
    const text = this.#recordText(rule, 13);
    return text === null ? null : (JSON.parse(text) as RuleLimits);
  }

  /** What becomes of open flows that this rule denies, or where none does had admitted; null: they are cut. */
  ruleOnRevoke(rule: number): OnRevoke | null {
    const text = this.#recordText(rule, 15);
    return text === null ? null : (JSON.parse(text) as OnRevoke);
  }

  #flags(rule: number): number {
    const record = this.ruleRecord(rule);
    return record < 0 ? 0 : this.records[record * RECORD_WORDS + 10]!;
  }

  #recordText(rule: number, word: number): string | null {
    const record = this.ruleRecord(rule);
    const text = record < 0 ? NOT_ASKED : this.records[record * RECORD_WORDS + word]!;
    return text === NOT_ASKED ? null : this.text(text);
  }

  /** The number of a rule's record: what was written, which applications share for guardrails and baseline. -1 where nothing was. */
  ruleRecord(rule: number): number {
    const app = this.ruleApplication(rule);
    const index = rule - this.applicationRuleBase(app) - 1;
    switch (this.ruleTier(rule)) {
      case 'guardrail':
        return index;
      case 'application':
        return this.applications[app * APPLICATION_WORDS + 4]! + index - this.guardrailCount;
      case 'baseline':
        return this.guardrailCount + index - (this.applicationRuleCount(app) - 2 - this.baselineCount);
      default:
        return -1;
    }
  }

  /** What this thread uses to find its way in programs with many conditions. */
  get proposals(): Proposals {
    return (this.#proposals ??= this.#newProposals());
  }

  #newProposals(): Proposals {
    const { buffer } = this;
    const sections = {
      patternStarts: sectionOf(buffer, 'patternStarts'),
      patternLists: sectionOf(buffer, 'patternLists'),
      patternRecords: sectionOf(buffer, 'patternRecords'),
      patternSlots: sectionOf(buffer, 'patternSlots'),
      patternSpaces: sectionOf(buffer, 'patternSpaces'),
    };
    return new Proposals(this.programs, sections);
  }

  /** The port ranges that a rule names, by its record; null: every port. */
  recordPorts(record: number): (readonly [number, number])[] | null {
    const offset = this.records[record * RECORD_WORDS + 8]!;
    const count = this.records[record * RECORD_WORDS + 9]!;
    if (count === NOT_ASKED) return null;
    return Array.from({ length: count }, (_, i) => [this.lists[offset + i * 2]!, this.lists[offset + i * 2 + 1]!] as const);
  }

  /** A text by its number. */
  text(number: number): string {
    return (this.#decoded[number] ??= this.#texts.toString('utf8', this.#textStarts[number], this.#textStarts[number + 1]));
  }

  /** A condition on requests by its number, taken apart at the first call. */
  condition(number: number): Condition {
    const known = this.#conditions[number];
    if (known !== undefined) return known;
    const at = number * CONDITION_WORDS;
    const condition = conditionOf(
      this.#textList(at),
      this.#textList(at + 2),
      this.#textList(at + 4),
      this.#headerList(at + 6),
      this.conditions[at + 8] === 1,
    );
    this.#conditions[number] = condition;
    return condition;
  }

  /** A demand by the number of its text, taken apart at the first call. */
  demand(number: number): Demand {
    return (this.#demands[number] ??= takeApart(JSON.parse(this.text(number)) as DemandRecord));
  }

  /** hot. Whether a source that a demand names has an atom. */
  sourceHolds(row: number, atom: number): boolean {
    const first = this.#sourceStarts[row]!;
    let low = first;
    let high = this.#sourceStarts[row + 1]!;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sourceAtoms[middle]! <= atom) low = middle + 1;
      else high = middle;
    }
    return ((low - first) & 1) === 1;
  }

  #headerList(at: number): HeaderMatch[] | null {
    const count = this.conditions[at + 1]!;
    if (count === NOT_ASKED) return null;
    let next = this.conditions[at]!;
    return Array.from({ length: count }, () => {
      const first = next + 2;
      next = first + this.lists[first - 1]!;
      const values = Array.from(this.lists.subarray(first, next), (text) => this.text(text));
      return { name: this.text(this.lists[first - 2]!), values };
    });
  }

  #textList(at: number): string[] | null {
    const count = this.conditions[at + 1]!;
    if (count === NOT_ASKED) return null;
    const offset = this.conditions[at]!;
    return Array.from(this.lists.subarray(offset, offset + count), (text) => this.text(text));
  }

  #number(name: (typeof NUMBERS)[number]): number {
    return this.#numbers[NUMBERS.indexOf(name)]!;
  }
}

function canonicalEndpoint(text: string): string {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon);
  const address = parseAddress(host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host);
  return address === null ? text : formatHostPort(address, Number(text.slice(colon + 1)));
}
