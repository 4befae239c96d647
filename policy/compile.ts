/** From a document to an image: sources to atoms, rules to programs. */
import type { Document } from '../config/document.ts';
import { demandOf } from './demand.ts';
import { attachImage, type Image } from './image.ts';
import type { Knowledge } from './knowledge.ts';
import { type Section, writeImage } from './layout.ts';
import { ForAll, ListRows, type Rows } from './list-rows.ts';
import { rememberOrigin } from './moment.ts';
import { type Partition, partition } from './partition.ts';
import type { Ranges } from './prefixes.ts';
import { ProgramTable } from './programs.ts';
import { RecordTable } from './records.ts';
import { inactivity, rulesOf } from './schedule.ts';
import { SourceRows } from './source-rows.ts';
import { ANYONE, NOBODY, type PoolMembership, SourceGraph } from './sources.ts';
import { NO_PORT, portClassifier, type SourcedRule, withSources } from './sweep.ts';

/** What a policy depends on beyond its document. */
export interface Circumstances {
  /** Addresses of pools' servers that differ from the document's. */
  readonly membership?: PoolMembership | undefined;
  /** What is known of countries, systems and names; what is missing there is unknown. */
  readonly knowledge?: Knowledge | undefined;
  /** The moment, in milliseconds since 1970: rules that do not hold then are left out, and keep their ids. Absent: every rule holds. */
  readonly now?: number | undefined;
  /** How many conditions are walked before they are looked up in an index. It changes what decisions cost, and no decision. */
  readonly conditionsWalked?: number | undefined;
}

/**
 * Compiles a document whose names are all known to exist. Throws only where the document contradicts itself. The image remembers what it
 * was compiled from, so that it can be asked for other moments (`imageAt`).
 */
export function compile(document: Document, circumstances: Circumstances = {}): Image {
  const image = build(document, circumstances);
  rememberOrigin(image, (now) => build(document, { ...circumstances, now: now ?? undefined }), document, circumstances.now ?? null);
  return image;
}

function build(document: Document, { membership, knowledge, now, conditionsWalked }: Circumstances): Image {
  const graph = new SourceGraph(document, membership, knowledge);
  const moment = now ?? null;
  const cluster = clusterSource(document, graph);
  const guardrails = withSources(document.guardrails, graph);
  const own = document.applications.map((application) => withSources(application.rules, graph));
  const baseline = withSources(document.baseline, graph);
  const atoms = partition(graph);
  const records = new RecordTable();
  const rows = new SourceRows(atoms);
  const firstOwnRecords = addRecords([guardrails, baseline, ...own], records, rows, graph, moment);
  records.settle();
  const lists = new ListRows(records, new ProgramTable(conditionsWalked), atoms, moment);
  const forAll = new ForAll(guardrails, baseline, lists);
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
    const ownRows = new Map<string, Rows>();
    for (const { endpoint } of application.vips) {
      const port = endpoint.kind === 'tcp' ? endpoint.port : NO_PORT;
      const key = port === NO_PORT ? 'unix' : String(classOf(port));
      let row = ownRows.get(key);
      if (row === undefined) {
        row = lists.rows(rules, firstOwnRecords[index]!, application.mode, port);
        ownRows.set(key, row);
      }
      const [guard, base] = forAll.rows(port, application.mode);
      vips.push(records.text(endpoint.text), index, guard[0], row[0], base[0], port, guard[1], row[1], base[1]);
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
    records.protocolClasses(),
    ...countsOf(document, moment),
    ...asksOf(document, graph),
  ];
  const sections: Record<Section, ArrayLike<number>> = {
    vips,
    applications,
    records: records.records,
    conditions: records.conditions,
    lists: records.lists,
    ...lookupSections(atoms),
    clusterAtoms: clusterAtoms(cluster, atoms),
    rowStarts: lists.table.starts,
    rowAtoms: lists.table.atoms,
    rowPrograms: lists.table.programs,
    programs: lists.table.words.all,
    ...records.encodeTexts(),
    ...records.patterns.encode(),
    ...rows.encode(),
    numbers,
  };
  return attachImage(writeImage(sections));
}

/** Records stand in this order: guardrails, baseline, then the rules of each application. Returns each application's first. */
function addRecords(
  [guardrails, baseline, ...own]: readonly (readonly SourcedRule[])[],
  records: RecordTable,
  rows: SourceRows,
  graph: SourceGraph,
  now: number | null,
): number[] {
  const add = ({ rule, cases }: SourcedRule) => {
    const demand = demandOf(rule, cases ?? null, (source) => rows.row(source));
    records.add(rule, inactivity(rule, now), graph.unknownIn([...rule.from, ...rule.except]), demand);
  };
  guardrails!.forEach(add);
  baseline!.forEach(add);
  return own.map((rules) => {
    const first = records.count;
    rules.forEach(add);
    return first;
  });
}

/** How many rules do not hold now, do not always hold, are shadow rules that hold, are logged, and ask for paths: in the order of NUMBERS. */
function countsOf(document: Document, now: number | null): number[] {
  let [inactive, periods, shadows, logs, pathsAsked] = [0, 0, 0, 0, 0];
  for (const rule of rulesOf(document)) {
    const holds = inactivity(rule, now) === null;
    if (!holds) inactive++;
    if (rule.until !== null || rule.schedule !== null) periods++;
    if (holds && rule.shadow) shadows++;
    if (rule.log) logs++;
    if (rule.http !== null && rule.http.paths !== null) pathsAsked++;
  }
  return [inactive, periods, shadows, logs, pathsAsked];
}

/** How many rules ask for the ClientHello, its fingerprint, identities and databases: in the order of NUMBERS. */
function asksOf(document: Document, graph: SourceGraph): number[] {
  let [tls, ja4, identities, databases] = [0, 0, 0, 0];
  for (const rule of rulesOf(document)) {
    if (rule.tls !== null) tls++;
    if (rule.tls !== null && rule.tls.ja4 !== null) ja4++;
    if (rule.identities !== null || graph.dependsOnIdentity([...rule.from, ...rule.except])) identities++;
    if (rule.database !== null) databases++;
  }
  return [tls, ja4, identities, databases];
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
  const last = new Uint32Array(starts.length / 4);
  for (let i = 0; i < last.length; i++) last[i] = starts[i * 4 + 3]!;
  return last;
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
