/**
 * The control plane of one node: brings policies into force, watches over workers and servers, and shows what it sees. Traffic never comes by here.
 */
import { readFileSync } from 'node:fs';
import type { Document, Endpoint, Problem } from '../../config/document.ts';
import { formatProblem } from '../../config/problem.ts';
import type { Image } from '../../policy/image.ts';
import { rehearse } from '../../policy/rehearse.ts';
import { KeySource, keyLocations } from '../identity/key-source.ts';
import type { Journal } from '../observe/journal-store.ts';
import type { Logger } from '../observe/log.ts';
import { Problems } from '../observe/problems.ts';
import type { Counters, FlowPage, FlowRecord, FlowSearch, NodeView, ServerNameState, ServerState, WorkerState } from '../observe/view.ts';
import { Book } from '../shared/book.ts';
import { readNodeLimits } from '../shared/node-limits.ts';
import { createRing } from '../shared/ring.ts';
import { TlsFiles, type Wanted } from '../tls/tls-files.ts';
import { removeSocket } from '../wire/listen.ts';
import { Crew, type CrewEvents, type Swapped } from './crew.ts';
import { healthEvents, keyEvents, tlsFileEvents, watchOver } from './findings.ts';
import { Flows } from './flows.ts';
import { Health } from './health.ts';
import { JournalPump } from './journal-pump.ts';
import { LimitPlanner } from './limit-planner.ts';
import type { Plan } from './plan.ts';
import { Planner } from './planner.ts';
import { blockedVips, endpointOf, explainListenError, vipsOf } from './probe.ts';
import { Renewal, type RenewalTimes, type Why } from './renewal.ts';
import type { Resolved } from './server-names.ts';
import { nameStates, serverStates } from './server-states.ts';
import type { ServerWatch } from './server-watch.ts';
import { SharedState } from './shared-state.ts';
import { type Lent, Sockets } from './sockets.ts';
import { type SwapResult, Swaps } from './swaps.ts';

export type ApplyResult =
  | {
      readonly ok: true;
      readonly generation: number;
      /** Flows that were cut; those that come to their end by their rule's `on-revoke`; those that were left alone. */
      readonly revoked: number;
      readonly draining: number;
      readonly kept: number;
      /** From the order to the last cut, on all workers. */
      readonly milliseconds: number;
    }
  | { readonly ok: false; readonly problems: readonly string[] };

/** What a document comes to when what holds beside it is laid over it: the document that is enforced. */
export type Lay = (document: Document) => Document;
const asWritten: Lay = (document) => document;

export type Prepared =
  | { readonly ok: true; readonly document: Document; readonly image: Image; readonly tls: Wanted }
  | { readonly ok: false; readonly problems: readonly string[] };

export interface NodeSettings {
  readonly node: string;
  readonly workers: number;
  readonly times?: NodeTimes;
}

export interface NodeTimes extends RenewalTimes {
  /** After which a worker tries again to bind a VIP that it could not bind. */
  readonly bindMs?: number;
}

/** How long an idle client may still come where a new process waits for the end of this one: what was sent by then has arrived. */
const LAST_WORD_MS = 1_000;
const VERSION: string = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

interface InForce {
  readonly document: Document;
  readonly resolved: Resolved;
  readonly image: Image;
  readonly generation: number;
  readonly appliedAt: number;
}

export class Node implements NodeView {
  readonly version = VERSION;
  readonly node: string;
  readonly startedAt = Date.now();
  readonly pid = process.pid;
  readonly problems = new Problems();
  private readonly log: Logger;
  private readonly journal: Journal;
  private readonly shared: SharedState;
  private readonly book = new Book();
  private readonly planner: Planner;
  private readonly limitPlanner = new LimitPlanner();
  private readonly health: Health;
  private readonly crew: Crew;
  private readonly swaps: Swaps;
  private readonly pump: JournalPump;
  private readonly flows: Flows;
  private readonly sockets: Sockets;
  private inForce: InForce | null = null;
  private queue: Promise<unknown> = Promise.resolve();
  private generations = 0;
  private applied = 0;
  private refused = 0;
  private refusal: { at: number; problems: string[] } | null = null;
  private draining = false;
  private readonly renewal: Renewal;
  private readonly tls: TlsFiles;
  private readonly keys: KeySource;
  private readonly watch: ServerWatch;
  readonly tokenKeys = () => this.keys.states();

  /** `sockets`: listening sockets that were bound elsewhere; they are the node's from here on. */
  constructor(settings: NodeSettings, journal: Journal, log: Logger, sockets = new Sockets(settings.workers)) {
    this.sockets = sockets;
    this.node = settings.node;
    this.log = log;
    this.journal = journal;
    const { workers } = settings;
    this.shared = new SharedState(workers);
    const rings = Array.from({ length: workers }, () => createRing());
    this.tls = new TlsFiles(tlsFileEvents(log, () => this.renewal.due('certificates')));
    this.planner = new Planner(this.shared.servers, this.tls);
    this.health = new Health(this.shared.servers, this.planner, (pool) => this.tls.pool(pool), healthEvents(log));
    const isBusy = (pool: string, server: string) => this.planner.isBusy(pool, server);
    this.renewal = new Renewal(log, (why) => this.renew(why), isBusy, settings.times);
    this.keys = new KeySource(keyEvents(log, (location, keys) => this.crew.teach(location, keys)));
    this.pump = new JournalPump(rings, journal);
    const events: CrewEvents = {
      died: (worker, why) => this.workerDied(worker, why),
      prepared: (worker, result) => this.swaps.prepared(worker, result),
      swapped: (worker, result) => this.swaps.swapped(worker, result),
      bound: (worker, failures) => this.swaps.unbound.settle(worker, failures),
      keysWanted: (location) => this.keys.wanted(location),
      keys: () => this.keys.sets(),
      pressing: (worker) => this.pump.pump(worker),
      decided: ({ type: _, unlogged, ...flow }) => log.info(unlogged === 0 ? flow : { ...flow, unlogged }, 'flow decided'),
      trouble: (worker, message, detail) => log.error({ worker, ...detail }, message),
    };
    this.crew = new Crew(this.shared.memory, rings, events, settings.times?.bindMs);
    this.flows = new Flows(this.crew, this.pump, journal);
    this.swaps = new Swaps(this.crew, this.book, sockets, log);
    const { problems, planner, keys, tls, book } = this;
    const { unbound } = this.swaps;
    const { faultOf } = this.renewal;
    const inForce = () => this.inForce?.resolved ?? null;
    this.watch = watchOver({ problems, planner, table: this.shared.servers, keys, tls, book, unbound, workers, faultOf, inForce }, log);
  }

  // --- bringing a policy into force ----------------------------------------------------------------------------------------------

  /** Brings a document into force, whole or not at all. One at a time; what is in force stays so on any problem. */
  apply(document: Document, lay: Lay = asWritten): Promise<ApplyResult> {
    const result = this.queue.then(() => this.applyNow(document, lay));
    this.queue = result.catch(() => undefined);
    return result;
  }

  /**
   * What a document comes to with what is laid over it, or why it cannot be applied. Its tests are put to the document alone: what an
   * operator cuts off beside it is no fault of it. Changes nothing.
   */
  async prepare(written: Document, lay: Lay = asWritten): Promise<Prepared> {
    const ignorance = await this.renewal.learn(written);
    const tls = this.tls.want(written);
    if (ignorance.length + tls.problems.length > 0) return { ok: false, problems: [...ignorance, ...tls.problems] };
    const alone = this.renewal.compile(written);
    const failed = rehearse(alone, written.tests).filter((test) => !test.passed);
    if (failed.length > 0) return { ok: false, problems: failed.map((test) => `test failed: ${test.message}`) };
    const blocked = await blockedVips(vipsOf(written), this.vipsInForce(), this.sockets.vips);
    if (blocked.length > 0) return { ok: false, problems: blocked };
    const document = lay(written);
    return { ok: true, document, tls, image: document === written ? alone : this.renewal.compile(document) };
  }

  /** What databases and name servers do not tell of a document that was prepared or applied, a line each. */
  unknownOf(document: Document): string[] {
    return this.renewal.unknownOf(document);
  }

  private async applyNow(written: Document, lay: Lay): Promise<ApplyResult> {
    // A swap would open VIPs again that the drain has closed.
    if (this.draining) return this.refuse(['this node is leaving; a change has to wait for the next start']);
    const startedAt = performance.now();
    const prepared = await this.prepare(written, lay);
    if (!prepared.ok) return this.refuse(prepared.problems);
    const { document, image } = prepared;
    const generation = ++this.generations;
    const resolved = this.renewal.resolve(document);
    const untake = prepared.tls.take();
    const takeBack = (problems: readonly string[]) => {
      untake();
      if (this.inForce !== null) this.planner.settle(this.inForce.resolved.document);
      return this.refuse(problems);
    };
    let swap: SwapResult;
    try {
      swap = await this.swaps.to(this.planOf(document, resolved, image, generation), image);
    } catch (error) {
      return takeBack([(error as Error).message]);
    }
    if (!swap.ok)
      return takeBack([...new Set(swap.failures.map(({ endpoint, code }) => explainListenError(endpointOf(document, endpoint), code)))]);
    this.settle({ document, resolved, image, generation, appliedAt: Date.now() });
    this.tls.settle(document);
    this.keys.settle(keyLocations(document));
    this.applied++;
    this.refusal = null;
    const sum = (of: (answer: Swapped) => number) => [...swap.answers.values()].reduce((total, answer) => total + of(answer), 0);
    const milliseconds = Math.round(performance.now() - startedAt);
    return {
      ok: true,
      generation,
      revoked: sum((answer) => answer.cut),
      draining: sum((answer) => answer.draining),
      kept: sum((answer) => answer.kept),
      milliseconds,
    };
  }

  private planOf(document: Document, resolved: Resolved, image: Image, generation: number): Omit<Plan, 'ledger'> {
    const limits = this.limitPlanner.plan(document, (asked) => this.renewal.compile(asked));
    return { ...this.planner.plan(resolved.document, image, generation), limits };
  }

  /** Every worker has the policy. */
  private settle(inForce: InForce): void {
    const { document, resolved, image } = inForce;
    this.inForce = inForce;
    this.book.settle();
    this.renewal.watch(document, resolved, image);
    this.planner.settle(resolved.document);
    this.health.watch(resolved.document);
  }

  /** Compiles what is in force again, since the time has come or something was learnt; flows that it no longer allows end. */
  private renew(why: Why): Promise<void> {
    const renewed = this.queue.then(() => this.renewNow(why));
    this.queue = renewed.catch(() => undefined);
    return renewed;
  }

  private async renewNow(why: Why): Promise<void> {
    const before = this.inForce;
    if (before === null || this.draining) return;
    const { document } = before;
    const image = this.renewal.compile(document);
    const generation = ++this.generations;
    const resolved = this.renewal.resolve(document);
    const swap = await this.swaps.to(this.planOf(document, resolved, image, generation), image, true);
    this.settle({ ...before, resolved, image, generation });
    const revoked = swap.ok ? [...swap.answers.values()].reduce((total, answer) => total + answer.cut, 0) : 0;
    this.log.info({ generation, why, revoked }, 'policy renewed');
  }

  /** A file that could not even be made a document: counted and shown like any refused change. */
  refuseProblems(problems: readonly Problem[]): ApplyResult {
    return this.refuse(problems.filter((problem) => problem.severity === 'error').map(formatProblem));
  }

  private refuse(problems: readonly string[]): ApplyResult {
    this.refused++;
    this.refusal = { at: Date.now(), problems: [...problems] };
    return { ok: false, problems };
  }

  private vipsInForce(): Endpoint[] {
    return vipsOf(this.inForce?.document);
  }

  private workerDied(worker: number, why: string): void {
    this.pump.pump(worker);
    this.book.buryWorker(worker);
    this.shared.clear(worker);
    this.swaps.lost(worker);
    // The first worker binds the unix sockets, and has to find their paths free when it comes back.
    if (worker === 0 && !this.draining)
      for (const endpoint of this.vipsInForce())
        if (endpoint.kind === 'unix' && !this.sockets.vips.has(endpoint.text)) removeSocket(endpoint.path);
    if (!this.draining) this.log.error({ worker, why }, 'a worker has died; its flows are lost, and it is started again');
  }

  /** Listening sockets for a process that follows this one, which goes on accepting until it drains. */
  lendSockets(): Promise<Lent[]> {
    return this.sockets.collect((desk) => this.crew.lend(desk));
  }

  /** Whether every worker answers. */
  isAlive(): Promise<boolean> {
    return this.crew.answers();
  }

  // --- leaving -------------------------------------------------------------------------------------------------------------------

  /**
   * Takes no new connections, lets what is under way finish, and ends when all has or the time is over. Answers how many were cut. Where clients are
   * served on (`handedOver` to another process, or by a service manager's next one), none of them is surprised: see LAST_WORD_MS.
   */
  async drain(withinMs: number, handedOver = false): Promise<number> {
    this.draining = true;
    this.renewal.stop();
    this.tls.stop();
    this.health.stop();
    this.watch.stop();
    await this.keys.stop();
    const patienceMs = handedOver ? withinMs / 2 : this.sockets.vips.size > 0 ? Math.min(LAST_WORD_MS, withinMs / 2) : 0;
    this.sockets.close();
    await this.crew.leave(withinMs, patienceMs, handedOver);
    const cut = this.book.read().applications.reduce((sum, application) => sum + application.connectionsActive, 0);
    await this.crew.stop();
    this.pump.stop();
    await this.journal.close();
    return cut;
  }

  // --- being looked at -----------------------------------------------------------------------------------------------------------

  policy(): { generation: number; appliedAt: number; document: Document } {
    const { generation, appliedAt, document } = this.inForce!;
    return { generation, appliedAt, document };
  }

  readiness(): { ready: boolean; reason: string } {
    if (this.draining) return { ready: false, reason: 'draining' };
    if (this.inForce === null) return { ready: false, reason: 'no policy is in force yet' };
    const { generation } = this.inForce;
    const behind = this.crew.members.filter((member) => member.generation < generation).length;
    if (behind > 0)
      return { ready: false, reason: `${behind} of ${this.crew.members.length} workers are not on generation ${generation} yet` };
    const unheard = this.vipsInForce().find((endpoint) => this.swaps.unbound.isUnheard(endpoint, this.crew.members.length));
    return unheard === undefined ? { ready: true, reason: 'ready' } : { ready: false, reason: `nobody listens on ${unheard.text}` };
  }

  counters(): Counters {
    const kept = this.journal.counts();
    return {
      ...this.book.read(),
      nodeLimits: readNodeLimits(this.shared.memory.limits),
      journal: { ...kept, dropped: kept.dropped + this.pump.dropped },
      workerRestarts: this.crew.restarts,
    };
  }

  servers(): ServerState[] {
    const { inForce, planner, shared, health, renewal } = this;
    return inForce === null ? [] : serverStates(inForce.resolved, planner, shared.servers, health, renewal.faultOf, Date.now());
  }

  serverNames(): ServerNameState[] {
    return this.inForce === null ? [] : nameStates(this.inForce.resolved, this.planner);
  }

  certificates(): ReturnType<NodeView['certificates']> {
    return { inUse: this.tls.certificates(), revocations: this.tls.revocations(), failures: this.tls.failures };
  }

  workers(): WorkerState[] {
    return this.crew.members.map((member) => ({
      id: member.id,
      generation: member.generation,
      connections: this.shared.connectionsOf(member.id),
    }));
  }

  liveFlows(limit: number): Promise<FlowRecord[]> {
    return this.flows.live(limit);
  }

  flow(receipt: string): Promise<FlowRecord | null> {
    return this.flows.find(receipt);
  }

  recentFlows(limit: number, denied: boolean): Promise<FlowRecord[]> {
    return this.flows.recent(limit, denied);
  }

  searchFlows(search: FlowSearch): Promise<FlowPage> {
    return this.flows.search(search);
  }

  applies(): { applied: number; refused: number } {
    return { applied: this.applied, refused: this.refused };
  }

  lastRefusal(): { at: number; problems: string[] } | null {
    return this.refusal;
  }

  /** Hands over each block of whole journal lines as it comes from a worker, until the returned function is called. */
  watchRecords(listener: (lines: Uint8Array) => void): () => void {
    this.pump.listeners.add(listener);
    return () => void this.pump.listeners.delete(listener);
  }

  /** For tests of what happens when a worker dies. */
  async killWorker(worker: number): Promise<void> {
    await this.crew.members[worker]!.thread?.terminate();
  }
}
