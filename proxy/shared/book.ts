/**
 * The main thread's side of the ledger: sums the workers' slices, by application and rule name, over every policy that has been in force.
 * Rules that are gone from the file keep counting for their application under one name, so that the sums stay right and the number of
 * series stays bounded by what is written.
 */
import type { Image } from '../../policy/image.ts';
import type { ApplicationCounters, Counters, RuleCounters } from '../observe/view.ts';
import { DURATION_BOUNDS_SECONDS } from '../observe/view.ts';
import * as slot from './ledger.ts';

/** The rule name under which verdicts of rules that are no longer in the file are summed. */
export const REMOVED_RULE = '(removed)';

const BUCKETS = DURATION_BOUNDS_SECONDS.length + 1;

interface Epoch {
  readonly image: Image;
  readonly slices: SharedArrayBuffer[];
}

export class Book {
  private readonly carriedApplications = new Map<string, Float64Array>();
  private readonly carriedRules = new Map<string, Map<string, Float64Array>>();
  private epochs: Epoch[] = [];

  /** New slices, one a worker, for a policy that is about to come into force. */
  open(image: Image, workers: number): SharedArrayBuffer[] {
    const slices = Array.from({ length: workers }, () => slot.createLedger(image.applicationCount, image.ruleCount));
    this.epochs.push({ image, slices });
    return slices;
  }

  /** The policy did not come into force after all. No worker has counted under it, but one that died meanwhile was buried there. */
  discard(image: Image): void {
    for (const epoch of this.epochs.slice(1)) if (epoch.image === image) this.carry(epoch);
    this.epochs = this.epochs.filter((epoch) => epoch.image !== image || epoch === this.epochs[0]);
  }

  /** Every worker has moved to the newest policy: what came before is carried over by name. */
  settle(): void {
    while (this.epochs.length > 1) this.carry(this.epochs.shift()!);
    const current = this.epochs[0];
    if (current === undefined) return;
    const names = new Set<string>();
    for (let app = 0; app < current.image.applicationCount; app++) names.add(current.image.applicationName(app));
    for (const name of this.carriedApplications.keys()) if (!names.has(name)) this.carriedApplications.delete(name);
    // An application that comes back later starts from nothing, its balances as well.
    for (const key of this.balances.keys()) if (!names.has(key.slice(key.indexOf('/') + 1))) this.balances.delete(key);
    for (const [name, rules] of this.carriedRules) {
      if (!names.has(name)) {
        this.carriedRules.delete(name);
        continue;
      }
      const app = current.image.applicationIndex(name);
      const base = current.image.applicationRuleBase(app);
      const known = new Set([REMOVED_RULE]);
      for (let i = 0; i < current.image.applicationRuleCount(app); i++) known.add(current.image.ruleName(base + i));
      for (const [rule, words] of rules) {
        if (known.has(rule)) continue;
        addInto(wordsOf(rules, REMOVED_RULE, slot.RULE_WORDS), words, 0);
        rules.delete(rule);
      }
    }
  }

  /**
   * A worker died: its live flows and connections ended with it. Called after the worker is gone, so its slices have no writer.
   * Flows of an older epoch can be closed in a newer one, so the balance is struck over all of them.
   */
  buryWorker(worker: number): void {
    const newest = this.epochs.at(-1);
    if (newest === undefined) return;
    for (const epoch of this.epochs.slice(0, -1)) this.carryWorker(epoch, worker);
    const image = newest.image;
    const words = new Float64Array(newest.slices[worker]!);
    for (let app = 0; app < image.applicationCount; app++) {
      const lost = this.lostOf(worker, image.applicationName(app), app, words);
      const at = app * slot.APPLICATION_WORDS;
      words[at + slot.FLOWS_CLOSED] = words[at + slot.FLOWS_CLOSED]! + lost.flows;
      words[at + slot.FLOW_BUCKETS + BUCKETS - 1] = words[at + slot.FLOW_BUCKETS + BUCKETS - 1]! + lost.flows;
      words[at + slot.CONNECTIONS_CLOSED] = words[at + slot.CONNECTIONS_CLOSED]! + lost.connections;
    }
  }

  /** Per worker, what earlier epochs left open: needed to bury a worker exactly. */
  private readonly balances = new Map<string, { flows: number; connections: number }>();

  private lostOf(worker: number, name: string, app: number, words: Float64Array): { flows: number; connections: number } {
    const at = app * slot.APPLICATION_WORDS;
    // Kept: with what is struck now, it and the slice come to nothing, and the next death of this worker starts from there.
    const balance = this.balances.get(`${worker}/${name}`) ?? { flows: 0, connections: 0 };
    return {
      flows: balance.flows + words[at + slot.FLOWS_OPENED]! - words[at + slot.FLOWS_CLOSED]!,
      connections: balance.connections + words[at + slot.CONNECTIONS_OPENED]! - words[at + slot.CONNECTIONS_CLOSED]!,
    };
  }

  private carry(epoch: Epoch): void {
    for (let worker = 0; worker < epoch.slices.length; worker++) this.carryWorker(epoch, worker);
  }

  private carryWorker(epoch: Epoch, worker: number): void {
    const { image } = epoch;
    const words = new Float64Array(epoch.slices[worker]!);
    for (let app = 0; app < image.applicationCount; app++) {
      const name = image.applicationName(app);
      const at = app * slot.APPLICATION_WORDS;
      addInto(wordsOf(this.carriedApplications, name, slot.APPLICATION_WORDS), words, at);
      const key = `${worker}/${name}`;
      const balance = this.balances.get(key) ?? { flows: 0, connections: 0 };
      balance.flows += words[at + slot.FLOWS_OPENED]! - words[at + slot.FLOWS_CLOSED]!;
      balance.connections += words[at + slot.CONNECTIONS_OPENED]! - words[at + slot.CONNECTIONS_CLOSED]!;
      this.balances.set(key, balance);
      let rules = this.carriedRules.get(name);
      if (rules === undefined) this.carriedRules.set(name, (rules = new Map()));
      const base = image.applicationRuleBase(app);
      for (let i = 0; i < image.applicationRuleCount(app); i++) {
        const from = image.applicationCount * slot.APPLICATION_WORDS + (base + i) * slot.RULE_WORDS;
        if (words[from]! + words[from + 1]! + words[from + 2]! + words[from + 3]! > 0)
          addInto(wordsOf(rules, image.ruleName(base + i), slot.RULE_WORDS), words, from);
      }
    }
    words.fill(0);
  }

  /** Sums of everything, for the applications and rules of the newest policy. */
  read(): Pick<Counters, 'applications' | 'rules' | 'limits'> {
    const newest = this.epochs.at(-1);
    if (newest === undefined) return { applications: [], rules: [], limits: [] };
    const applications = new Map<string, Float64Array>();
    const rules = new Map<string, Map<string, Float64Array>>();
    for (const [name, words] of this.carriedApplications) applications.set(name, words.slice());
    for (const [name, carried] of this.carriedRules) rules.set(name, new Map([...carried].map(([rule, words]) => [rule, words.slice()])));
    // Newest first: a flow may be opened in one epoch and closed in a later one, and what is closed has to be read before what is opened.
    for (const epoch of this.epochs.toReversed())
      for (const buffer of epoch.slices) this.sum(epoch.image, new Float64Array(buffer), applications, rules);
    const out: { applications: ApplicationCounters[]; rules: RuleCounters[]; limits: Counters['limits'] } = {
      applications: [],
      rules: [],
      limits: [],
    };
    for (let app = 0; app < newest.image.applicationCount; app++) {
      const name = newest.image.applicationName(app);
      const words = wordsOf(applications, name, slot.APPLICATION_WORDS);
      out.applications.push(applicationCounters(name, words));
      slot.LIMITS.forEach((limit, i) => {
        const hits = words[slot.LIMIT_HITS + i]!;
        if (hits > 0) out.limits.push({ application: name, limit, hits });
      });
      for (const [rule, [allow = 0, deny = 0, wouldDeny = 0, wouldAllow = 0]] of rules.get(name) ?? [])
        out.rules.push({ application: name, rule, allow, deny, wouldDeny, wouldAllow });
    }
    return out;
  }

  /** Some words of one application, summed: for who looks every second, and wants no more than that. */
  sums(application: string, from: number, count: number): number[] {
    const sums = new Array<number>(count).fill(0);
    const take = (words: Float64Array, at: number) => sums.forEach((sum, i) => void (sums[i] = sum + words[at + i]!));
    const carried = this.carriedApplications.get(application);
    if (carried !== undefined) take(carried, from);
    for (const { image, slices } of this.epochs) {
      const index = image.applicationIndex(application);
      if (index >= 0) for (const slice of slices) take(new Float64Array(slice), index * slot.APPLICATION_WORDS + from);
    }
    return sums;
  }

  private sum(
    image: Image,
    words: Float64Array,
    applications: Map<string, Float64Array>,
    rules: Map<string, Map<string, Float64Array>>,
  ): void {
    for (let app = 0; app < image.applicationCount; app++) {
      const name = image.applicationName(app);
      addInto(wordsOf(applications, name, slot.APPLICATION_WORDS), words, app * slot.APPLICATION_WORDS);
      let byRule = rules.get(name);
      if (byRule === undefined) rules.set(name, (byRule = new Map()));
      const base = image.applicationRuleBase(app);
      for (let i = 0; i < image.applicationRuleCount(app); i++)
        addInto(
          wordsOf(byRule, image.ruleName(base + i), slot.RULE_WORDS),
          words,
          image.applicationCount * slot.APPLICATION_WORDS + (base + i) * slot.RULE_WORDS,
        );
    }
  }
}

function wordsOf(map: Map<string, Float64Array>, key: string, length: number): Float64Array {
  let words = map.get(key);
  if (words === undefined) map.set(key, (words = new Float64Array(length)));
  return words;
}

/** From the end: a `closed` stands behind its `opened`, and read first it can never be the larger while a worker goes on counting. */
function addInto(target: Float64Array, source: Float64Array, at: number): void {
  for (let i = target.length - 1; i >= 0; i--) target[i] = target[i]! + source[at + i]!;
}

function applicationCounters(application: string, words: Float64Array): ApplicationCounters {
  const histogram = (sum: number) => ({ sumSeconds: words[sum]!, counts: Array.from(words.subarray(sum + 1, sum + 1 + BUCKETS)) });
  return {
    application,
    flowsOpened: words[slot.FLOWS_OPENED]!,
    flowsClosed: words[slot.FLOWS_CLOSED]!,
    flowsActive: words[slot.FLOWS_OPENED]! - words[slot.FLOWS_CLOSED]!,
    flowsRevoked: words[slot.FLOWS_REVOKED]!,
    connectionsActive: words[slot.CONNECTIONS_OPENED]! - words[slot.CONNECTIONS_CLOSED]!,
    bytesIn: words[slot.BYTES_IN]!,
    bytesOut: words[slot.BYTES_OUT]!,
    responses: Array.from(words.subarray(slot.RESPONSES, slot.RESPONSES + 5)) as [number, number, number, number, number],
    flowDuration: histogram(slot.FLOW_SUM),
    requestDuration: histogram(slot.REQUEST_SUM),
    proxyHeaders: slot.PROXY_RESULTS.map((result, i) => ({ result, count: words[slot.PROXY_HEADERS + i]! })),
    handshakes: slot.TLS_RESULTS.map((result, i) => ({ result, count: words[slot.TLS_HANDSHAKES + i]! })),
  };
}
