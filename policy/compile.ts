/** From a document to an image: sources to atoms, rules to programs. */
import type { Document, Mode, Rule } from '../config/document.ts';
import { attachImage, type Image } from './image.ts';
import { type Section, writeImage } from './layout.ts';
import { ACTIONS, ALL_PROTOCOLS, type RuleFacts } from './outcome.ts';
import { type Partition, partition } from './partition.ts';
import type { Ranges } from './prefixes.ts';
import { ProgramTable } from './programs.ts';
import { RecordTable } from './records.ts';
import { ANYONE, NOBODY, type PoolMembership, SourceGraph } from './sources.ts';
import { NO_PORT, portClassifier, type SourcedRule, withSources } from './sweep.ts';

/**
 * Compiles a document whose names are all known to exist. A pool's members are its servers' addresses in the document, or those in
 * `membership` where it knows the pool. Throws only where the document contradicts itself.
 */
export function compile(document: Document, membership?: PoolMembership): Image {
  const graph = new SourceGraph(document, membership);
  const cluster = clusterSource(document, graph);
  const guardrails = withSources(document.guardrails, graph);
  const own = document.applications.map((application) => withSources(application.rules, graph));
  const baseline = withSources(document.baseline, graph);
  const atoms = partition(graph);
  const records = new RecordTable();
  const firstOwnRecords = addRecords(document, records);
  const table = new ProgramTable();
  const forAll = new ForAll(guardrails, baseline, table, atoms);
  const vips: number[] = [];
  const applications: number[] = [];
  let firstRule = 0;
  for (const [index, application] of document.applications.entries()) {
    const rules = own[index]!;
    applications.push(
      records.text(application.name),
      application.mode === 'http' ? 1 : 0,
      application.enforcement === 'observe' ? 1 : 0,
      firstRule,
      firstOwnRecords[index]!,
    );
    // The synthetic rules for the cluster lane and for what nothing else decides.
    firstRule += guardrails.length + rules.length + baseline.length + 2;
    const classOf = portClassifier(application.rules);
    const rows = new Map<string, number>();
    const facts = factsOf(application.rules);
    for (const { endpoint } of application.vips) {
      const port = endpoint.kind === 'tcp' ? endpoint.port : NO_PORT;
      const key = port === NO_PORT ? 'unix' : String(classOf(port));
      let row = rows.get(key);
      if (row === undefined) {
        row = table.addRow(heard(rules, application.mode), facts, port, atoms);
        rows.set(key, row);
      }
      const [guardRow, baselineRow] = forAll.rows(port, application.mode);
      vips.push(records.text(endpoint.text), index, guardRow, row, baselineRow, port);
    }
  }
  // A closing entry, so that an application's rules end where the next one's begin.
  applications.push(0, 0, 0, firstRule, records.count);
  const numbers = [
    atoms.atomCount,
    guardrails.length,
    baseline.length,
    records.text('cluster'),
    records.text('default'),
    table.listWords,
    records.protocolClasses(),
  ];
  const sections: Record<Section, ArrayLike<number>> = {
    vips,
    applications,
    records: records.records,
    conditions: records.conditions,
    lists: records.lists,
    ...lookupSections(atoms),
    clusterAtoms: clusterAtoms(cluster, atoms),
    rowStarts: table.starts,
    rowAtoms: table.atoms,
    rowPrograms: table.programs,
    programs: table.words,
    ...records.encodeTexts(),
    ...records.patterns.encode(),
    numbers,
  };
  return attachImage(writeImage(sections));
}

/** Records stand in this order: guardrails, baseline, then the rules of each application. Returns each application's first. */
function addRecords(document: Document, records: RecordTable): number[] {
  for (const rule of document.guardrails) records.add(rule);
  for (const rule of document.baseline) records.add(rule);
  return document.applications.map((application) => {
    const first = records.count;
    for (const rule of application.rules) records.add(rule);
    return first;
  });
}

function factsOf(rules: readonly Rule[]): RuleFacts[] {
  return rules.map((rule) => ({
    protocols: rule.protocols === null ? ALL_PROTOCOLS : rule.protocols & ALL_PROTOCOLS,
    conditional: rule.http !== null,
    byPattern: rule.http !== null && (rule.http.hosts !== null || rule.http.paths !== null),
    action: ACTIONS.indexOf(rule.action),
  }));
}

/** In tcp mode no flow is a request, so a rule that asks for one holds for nobody. Rules keep their numbers. */
function heard(rules: readonly SourcedRule[], mode: Mode): readonly SourcedRule[] {
  return mode === 'http' ? rules : rules.map((entry) => (entry.rule.http === null ? entry : { ...entry, source: NOBODY }));
}

/** The rows of guardrails and baseline, which applications share: they depend on the VIP's port and the mode alone. */
class ForAll {
  readonly #guardrails: readonly SourcedRule[];
  readonly #baseline: readonly SourcedRule[];
  readonly #table: ProgramTable;
  readonly #atoms: Partition;
  readonly #classOf: (port: number) => number;
  readonly #known = new Map<string, readonly [number, number]>();

  constructor(guardrails: readonly SourcedRule[], baseline: readonly SourcedRule[], table: ProgramTable, atoms: Partition) {
    this.#guardrails = guardrails;
    this.#baseline = baseline;
    this.#table = table;
    this.#atoms = atoms;
    this.#classOf = portClassifier([...guardrails, ...baseline].map(({ rule }) => rule));
  }

  rows(port: number, mode: Mode): readonly [number, number] {
    const key = `${port === NO_PORT ? 'unix' : this.#classOf(port)} ${mode}`;
    let rows = this.#known.get(key);
    if (rows === undefined) {
      rows = [this.#row(this.#guardrails, port, mode), this.#row(this.#baseline, port, mode)];
      this.#known.set(key, rows);
    }
    return rows;
  }

  #row(rules: readonly SourcedRule[], port: number, mode: Mode): number {
    return this.#table.addRow(heard(rules, mode), factsOf(rules.map(({ rule }) => rule)), port, this.#atoms);
  }
}

function clusterSource(document: Document, graph: SourceGraph): number {
  return graph.sourceOf(
    document.networks.cluster.map((prefix) => ({ kind: 'prefix', prefix })),
    [],
  );
}

function clusterAtoms(source: number, { atomCount, initial, changes }: Partition): Uint32Array {
  const bits = new Uint32Array((atomCount + 31) >>> 5);
  if (source === NOBODY || source === ANYONE) return bits;
  let holds = initial[source]!;
  let from = 0;
  for (const to of [...changes[source]!, atomCount]) {
    if (holds === 1) for (let atom = from; atom < to; atom++) bits[atom >>> 5]! |= 1 << (atom & 31);
    holds ^= 1;
    from = to;
  }
  return bits;
}

function lookupSections({
  ipv4,
  ipv6,
}: Partition): Pick<Record<Section, ArrayLike<number>>, 'ipv4Roots' | 'ipv4Starts' | 'ipv4Atoms' | 'ipv6Starts' | 'ipv6Atoms'> {
  const ipv4Starts = lastWords(ipv4);
  return { ipv4Roots: rootsOf(ipv4Starts), ipv4Starts, ipv4Atoms: ipv4.signatures, ipv6Starts: ipv6.starts, ipv6Atoms: ipv6.signatures };
}

function lastWords({ starts }: Ranges): Uint32Array {
  return Uint32Array.from({ length: starts.length / 4 }, (_, i) => starts[i * 4 + 3]!);
}

/** For each /16 the last range that starts at or before its first address. The entry behind the last is the last range. */
function rootsOf(starts: Uint32Array): Uint32Array {
  const roots = new Uint32Array(0x10001);
  let range = 0;
  for (let root = 0; root < 0x10000; root++) {
    while (range + 1 < starts.length && starts[range + 1]! <= root * 0x10000) range++;
    roots[root] = range;
  }
  roots[0x10000] = starts.length - 1;
  return roots;
}
