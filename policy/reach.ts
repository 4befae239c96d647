/** Which rules can ever decide: for each application the whole list, from the cluster lane to the baseline, is walked at every atom. */
import { type Application, type Document, PLAIN_RULE, type Rule } from '../config/document.ts';
import { REQUEST_PROTOCOLS } from '../config/protocols.ts';
import { ALL_PROTOCOLS } from './outcome.ts';
import { type Partition, partition } from './partition.ts';
import { NOBODY, type SourceCase, SourceGraph } from './sources.ts';
import { NO_PORT, portClassifier, type SourcedRule, sweep, withSources } from './sweep.ts';

/** A rule that never decides. */
export interface RuleFinding {
  readonly rule: Rule;
  /** JSON pointer. */
  readonly path: string;
  /** What takes its flows before it; null is the cluster lane. Empty: there are no such flows. */
  readonly takenBy: readonly (Rule | null)[];
  readonly sourceIsEmpty: boolean;
  /** Whether any application that it stands for speaks http. */
  readonly seesRequests: boolean;
  /** Whether any carries bytes. */
  readonly seesBytes: boolean;
}

/** How many of a rule's atoms are looked at to find who takes its flows: enough to name them, bounded for lists of ten thousand. */
const ATOMS_NAMED = 64;

interface Fate {
  held: boolean;
  reached: boolean;
  seesRequests: boolean;
  seesBytes: boolean;
  atomsNamed: number;
  readonly takenBy: Set<Rule | null>;
}

export function unreachedRules(document: Document): RuleFinding[] {
  const graph = new SourceGraph(document);
  const cluster: SourcedRule = { rule: clusterRule(document), source: NOBODY };
  const lane = { ...cluster, source: graph.sourceOf(cluster.rule.from, []) };
  const guardrails = withSources(document.guardrails, graph);
  const baseline = withSources(document.baseline, graph);
  const own = document.applications.map(({ rules }) => withSources(rules, graph));
  const atoms = partition(graph);
  const fates = new Map<SourcedRule, Fate>();
  for (const entry of [...guardrails, ...baseline, ...own.flat()]) {
    fates.set(entry, { held: false, reached: false, seesRequests: false, seesBytes: false, atomsNamed: 0, takenBy: new Set() });
  }
  for (const [index, application] of document.applications.entries()) {
    const walk = new Walk([lane, ...guardrails, ...own[index]!, ...baseline], guardrails.length + 1, application, atoms, fates);
    for (const port of distinctPorts(application, walk.entries)) walk.at(port);
  }
  const findings: RuleFinding[] = [];
  const collect = (entries: readonly SourcedRule[], path: string) => {
    for (const [i, entry] of entries.entries()) {
      const fate = fates.get(entry)!;
      if (fate.reached || (document.applications.length === 0 && !isEmpty(entry, atoms))) continue;
      const takenBy = fate.held ? [...fate.takenBy] : [];
      findings.push({
        rule: entry.rule,
        path: `${path}/${i}`,
        takenBy,
        sourceIsEmpty: isEmpty(entry, atoms),
        seesRequests: fate.seesRequests,
        seesBytes: fate.seesBytes,
      });
    }
  };
  collect(guardrails, '/guardrails');
  for (const [index, { name }] of document.applications.entries()) {
    collect(own[index]!, `/applications/${name.replaceAll('~', '~0').replaceAll('/', '~1')}/rules`);
  }
  collect(baseline, '/baseline');
  return findings;
}

/** The whole list of one application, walked at every atom for one port after the other. */
class Walk {
  readonly entries: readonly SourcedRule[];
  readonly #afterGuardrails: number;
  readonly #atoms: Partition;
  readonly #fates: readonly (Fate | undefined)[];
  readonly #conditions: readonly (string | null)[];

  constructor(
    entries: readonly SourcedRule[],
    afterGuardrails: number,
    { mode }: Application,
    atoms: Partition,
    fates: Map<SourcedRule, Fate>,
  ) {
    this.#fates = entries.map((entry) => fates.get(entry));
    for (const fate of this.#fates) if (fate !== undefined) fate[mode === 'http' ? 'seesRequests' : 'seesBytes'] = true;
    this.entries = entries.map((entry) => (isForeign(entry.rule, mode) ? { ...entry, source: NOBODY } : entry));
    this.#conditions = entries.map(({ rule, cases }) => conditionText(rule, cases ?? null));
    this.#afterGuardrails = afterGuardrails;
    this.#atoms = atoms;
  }

  at(port: number): void {
    const held = new Uint32Array((this.entries.length + 31) >>> 5);
    // Without an address a flow can only come over a unix socket.
    const nobody = (atom: number, end: number) => atom === 0 && end === 1 && port !== NO_PORT && !this.#atoms.zeroHasAddresses;
    sweep(this.entries, port, this.#atoms, (atom, holding, end) => {
      if (nobody(atom, end)) return;
      for (const [word, bits] of holding.entries()) held[word]! |= bits;
      this.#follow(holding, null);
    });
    const unreached = held.map((bits, word) => {
      let left = 0;
      for (const index of bitsOf(bits, word)) {
        const fate = this.#fates[index];
        if (fate === undefined) continue;
        fate.held = true;
        if (!fate.reached) left |= 1 << (index & 31);
      }
      return left;
    });
    if (unreached.every((bits) => bits === 0)) return;
    sweep(this.entries, port, this.#atoms, (atom, holding, end) => {
      if (nobody(atom, end)) return;
      if (holding.some((bits, word) => (bits & unreached[word]!) !== 0)) this.#follow(holding, unreached);
    });
  }

  /** Marks what is reached at an atom; with `unreached` it notes instead who takes the flows of those rules. */
  #follow(holding: Uint32Array, unreached: Uint32Array | null): void {
    let open = ALL_PROTOCOLS;
    let passed = 0;
    const takers: number[] = new Array(32).fill(-1);
    /** Protocols that a condition was already asked for. */
    const asked = new Map<string, { protocols: number; by: number }>();
    let inGuardrails = true;
    for (const [word, bits] of holding.entries()) {
      for (const index of bitsOf(bits, word)) {
        if (inGuardrails && index >= this.#afterGuardrails) {
          inGuardrails = false;
          // Two protocols together can pass where one of them alone is cut.
          if (passed !== 0) {
            open = ALL_PROTOCOLS;
            asked.clear();
            passed = 0;
          }
        }
        if (!inGuardrails && open === 0 && unreached === null) return;
        const { rule } = this.entries[index]!;
        const fate = this.#fates[index];
        // A shadow rule takes nothing from the rules behind it.
        if (rule.shadow) {
          if (fate !== undefined) fate.reached = true;
          continue;
        }
        const protocols = (rule.protocols ?? ALL_PROTOCOLS) & ALL_PROTOCOLS;
        const condition = this.#conditions[index]!;
        const before = condition === null ? undefined : asked.get(condition);
        const reached = protocols & open & ~(before?.protocols ?? 0);
        if (reached !== 0 && fate !== undefined && unreached === null) fate.reached = true;
        if (fate !== undefined && unreached !== null && (unreached[word]! >>> (index & 31)) & 1 && fate.atomsNamed++ < ATOMS_NAMED) {
          for (let bit = 0; bit < 32; bit++) {
            if (((protocols >>> bit) & 1) === 0) continue;
            const taker = (open >>> bit) & 1 ? before!.by : takers[bit]!;
            if (taker >= 0) fate.takenBy.add(taker === 0 ? null : this.entries[taker]!.rule);
          }
        }
        if (reached === 0) continue;
        if (rule.action === 'pass') passed |= reached;
        if (condition !== null) {
          if (rule.action !== 'pass') asked.set(condition, { protocols: (before?.protocols ?? 0) | reached, by: before?.by ?? index });
          continue;
        }
        for (let bit = 0; bit < 32; bit++) if ((reached >>> bit) & 1) takers[bit] = index;
        open &= ~reached;
      }
    }
  }
}

/** In tcp mode no flow is a request, in http mode none is anything else. */
function isForeign({ http, database, protocols }: Rule, mode: Application['mode']): boolean {
  if (mode === 'tcp') return http !== null;
  return database !== null || (protocols !== null && (protocols & REQUEST_PROTOCOLS) === 0);
}

/** What a rule asks for beside source, port and protocol, as a comparable text; null for nothing. What cannot be told is a denial's. */
function conditionText(
  { action, http, tls, identities, database, until, schedule }: Rule,
  cases: readonly SourceCase[] | null,
): string | null {
  const asked = [http, tls, identities, database, cases, until, schedule];
  if (asked.every((part) => part === null)) return null;
  return JSON.stringify(http?.headers != null || database !== null ? [...asked, action === 'deny'] : asked);
}

/** One port of each class that the rules can tell apart. */
function distinctPorts({ vips }: Application, entries: readonly SourcedRule[]): number[] {
  const classOf = portClassifier(entries.map(({ rule }) => rule));
  const ports = new Map<string, number>();
  for (const { endpoint } of vips) {
    const port = endpoint.kind === 'tcp' ? endpoint.port : NO_PORT;
    ports.set(port === NO_PORT ? 'unix' : String(classOf(port)), port);
  }
  return [...ports.values()];
}

function isEmpty({ source }: SourcedRule, { initial, changes }: Partition): boolean {
  return source === NOBODY || (source >= 0 && initial[source] === 0 && changes[source]!.length === 0);
}

function clusterRule({ networks }: Document): Rule {
  const place = { file: '', line: 0, column: 0 };
  const from = networks.cluster.map((prefix) => ({ kind: 'prefix' as const, prefix }));
  return { name: 'cluster', action: 'allow', from, except: [], ...PLAIN_RULE, place };
}

function* bitsOf(word: number, number: number): Generator<number> {
  for (let bits = word; bits !== 0; bits &= bits - 1) yield number * 32 + 31 - Math.clz32(bits & -bits);
}
