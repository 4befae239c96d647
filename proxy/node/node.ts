/**
 * The control plane of one node: brings policies into force, watches over workers and servers, and shows what it sees. Traffic never comes by here.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Document, Endpoint, Problem } from '../../config/document.ts';
import { formatProblem } from '../../config/problem.ts';
import type { Image } from '../../policy/image.ts';
import { rehearse } from '../../policy/rehearse.ts';
import type { Journal } from '../observe/journal-store.ts';
import type { Logger } from '../observe/log.ts';
import type { Counters, FlowRecord, NodeView, ServerState, WorkerState } from '../observe/view.ts';
import { Book } from '../shared/book.ts';
import { createRing } from '../shared/ring.ts';
import { ServerTable } from '../shared/servers.ts';
import { Slices } from '../shared/slices.ts';
import { SourceTable } from '../shared/sources.ts';
import { Crew, type Swapped } from './crew.ts';
import { Health } from './health.ts';
import { JournalPump } from './journal-pump.ts';
import { APPLICATIONS_MAX, type Plan, type SharedMemory } from './plan.ts';
import { Planner } from './planner.ts';
import { explainListenError, probe } from './probe.ts';
import { Renewal, type Why } from './renewal.ts';

export type ApplyResult =
  | { readonly ok: true; readonly generation: number; readonly revoked: number; readonly kept: number; readonly milliseconds: number }
  | { readonly ok: false; readonly problems: readonly string[] };

/** What a document comes to when what holds beside it is laid over it: the document that is enforced. */
export type Lay = (document: Document) => Document;
const asWritten: Lay = (document) => document;

export type Prepared =
  | { readonly ok: true; readonly document: Document; readonly image: Image }
  | { readonly ok: false; readonly problems: readonly string[] };

/** A swap that not every worker has answered by then is reported; it stays in force where it is. */
const SWAP_MS_MAX = 30_000;
const DRAIN_POLL_MS = 20;
/** Records for the page when it asks for live flows. */
const VERSION: string = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;

interface InForce {
  readonly document: Document;
  readonly image: Image;
  readonly generation: number;
  readonly appliedAt: number;
}

interface PendingSwap {
  readonly generation: number;
  readonly answers: Map<number, Swapped>;
  readonly done: () => void;
}

export class Node implements NodeView {
  readonly version = VERSION;
  readonly node: string;
  readonly startedAt = Date.now();
  readonly pid = process.pid;
  private readonly log: Logger;
  private readonly journal: Journal;
  private readonly shared: SharedMemory;
  private readonly servers_: ServerTable;
  private readonly connections: Slices;
  private readonly sources: SourceTable;
  private readonly book = new Book();
  private readonly planner: Planner;
  private readonly health: Health;
  private readonly crew: Crew;
  private readonly pump: JournalPump;
  private inForce: InForce | null = null;
  private swap: PendingSwap | null = null;
  private queue: Promise<unknown> = Promise.resolve();
  private generations = 0;
  private applied = 0;
  private refused = 0;
  private refusal: { at: number; problems: string[] } | null = null;
  private draining = false;
  private readonly renewal: Renewal;

  constructor(settings: { node: string; workers: number }, journal: Journal, log: Logger) {
    this.node = settings.node;
    this.log = log;
    this.journal = journal;
    const { workers } = settings;
    this.servers_ = new ServerTable(workers);
    this.connections = new Slices(workers, APPLICATIONS_MAX + 1);
    this.sources = new SourceTable(workers, { seed: randomBytes(4).readInt32LE() });
    this.shared = { workers, servers: this.servers_.buffers, connections: this.connections.buffer, sources: this.sources.buffer };
    const rings = Array.from({ length: workers }, () => createRing());
    this.planner = new Planner(this.servers_);
    this.health = new Health(
      this.servers_,
      this.planner,
      {
        changed: (pool, server, up, detail) => log[up ? 'info' : 'warn']({ pool, server, detail }, up ? 'server is up' : 'server is down'),
      },
      Math.random,
    );
    this.renewal = new Renewal(log, (why) => this.renew(why));
    this.pump = new JournalPump(rings, journal);
    this.crew = new Crew(this.shared, rings, {
      died: (worker, why) => this.workerDied(worker, why),
      swapped: (worker, result) => this.workerSwapped(worker, result),
      pressing: (worker) => this.pump.pump(worker),
      decided: ({ type: _, unlogged, ...flow }) => log.info(unlogged === 0 ? flow : { ...flow, unlogged }, 'flow decided'),
      trouble: (worker, message, detail) => log.error({ worker, ...detail }, message),
    });
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
    if (ignorance.length > 0) return { ok: false, problems: ignorance };
    const alone = this.renewal.compile(written);
    const failed = rehearse(alone, written.tests).filter((test) => !test.passed);
    if (failed.length > 0) return { ok: false, problems: failed.map((test) => `test failed: ${test.message}`) };
    const blocked = await this.blockedVips(written);
    if (blocked.length > 0) return { ok: false, problems: blocked };
    const document = lay(written);
    return { ok: true, document, image: document === written ? alone : this.renewal.compile(document) };
  }

  private async applyNow(written: Document, lay: Lay): Promise<ApplyResult> {
    // A swap would open VIPs again that the drain has closed.
    if (this.draining) return this.refuse(['this node is leaving; a change has to wait for the next start']);
    const startedAt = performance.now();
    const prepared = await this.prepare(written, lay);
    if (!prepared.ok) return this.refuse(prepared.problems);
    const { document, image } = prepared;
    const before = this.inForce;
    const generation = ++this.generations;
    let common: Omit<Plan, 'ledger'>;
    try {
      common = this.planner.plan(document, image, generation);
    } catch (error) {
      return this.refuse([(error as Error).message]);
    }
    const answers = await this.swapTo(common, image);
    const failures = [...answers.values()].flatMap((answer) => answer.failures);
    if (failures.length > 0) {
      const problems = [...new Set(failures.map((failure) => explainListenError(endpointOf(document, failure.endpoint), failure.code)))];
      if (before !== null) await this.swapTo(this.planner.plan(before.document, before.image, ++this.generations), before.image);
      this.book.settle();
      return this.refuse(problems);
    }
    this.inForce = { document, image, generation, appliedAt: Date.now() };
    this.book.settle();
    this.renewal.watch(document, image);
    this.planner.settle(document);
    this.health.watch(document);
    this.applied++;
    this.refusal = null;
    const sum = (of: (answer: Swapped) => number) => [...answers.values()].reduce((total, answer) => total + of(answer), 0);
    const milliseconds = Math.round(performance.now() - startedAt);
    const outcome = {
      ok: true,
      generation,
      revoked: sum((answer) => answer.cut),
      kept: sum((answer) => answer.kept),
      milliseconds,
    } as const;
    this.log.info({ generation, revoked: outcome.revoked, kept: outcome.kept, milliseconds }, 'policy in force');
    return outcome;
  }

  /** Compiles what is in force again, since the time has come or something was learnt; flows that it no longer allows end. */
  private renew(why: Why): void {
    const renewed = this.queue.then(() => this.renewNow(why));
    this.queue = renewed.catch((error: unknown) => this.log.error({ why, error: String(error) }, 'the policy could not be renewed'));
  }

  private async renewNow(why: Why): Promise<void> {
    const before = this.inForce;
    if (before === null || this.draining) return;
    const { document } = before;
    const image = this.renewal.compile(document);
    const generation = ++this.generations;
    const answers = await this.swapTo(this.planner.plan(document, image, generation), image);
    this.inForce = { ...before, image, generation };
    this.book.settle();
    this.renewal.watch(document, image);
    const revoked = [...answers.values()].reduce((total, answer) => total + answer.cut, 0);
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

  private async blockedVips(document: Document): Promise<string[]> {
    const ours = this.inForce?.document.applications.flatMap((application) => application.vips.map((vip) => vip.endpoint)) ?? [];
    const held = new Set(ours.map((endpoint) => endpoint.text));
    const ports = new Set(ours.map((endpoint) => (endpoint.kind === 'tcp' ? endpoint.port : 0)));
    const wanted = document.applications
      .flatMap((application) => application.vips.map((vip) => vip.endpoint))
      .filter((endpoint) => !held.has(endpoint.text));
    const answers = await Promise.all(wanted.map((endpoint) => probe(endpoint, endpoint.kind === 'tcp' && ports.has(endpoint.port))));
    return answers.filter((answer) => answer !== null);
  }

  private async swapTo(common: Omit<Plan, 'ledger'>, image: Image): Promise<Map<number, Swapped>> {
    const slices = this.book.open(image, this.shared.workers);
    const answers = new Map<number, Swapped>();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.log.error({ generation: common.generation, answered: answers.size }, 'not every worker has taken the policy in time');
        resolve();
      }, SWAP_MS_MAX);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.swap = { generation: common.generation, answers, done };
      this.crew.swap(slices.map((ledger) => ({ ...common, ledger })));
    });
    this.swap = null;
    return answers;
  }

  private workerSwapped(worker: number, result: Swapped): void {
    const { swap } = this;
    if (swap === null || swap.generation !== result.generation) {
      // A worker that was started again, on its own.
      for (const failure of result.failures) this.log.error({ worker, ...failure }, 'a worker cannot listen on a VIP');
      return;
    }
    swap.answers.set(worker, result);
    if (swap.answers.size === this.shared.workers) swap.done();
  }

  private workerDied(worker: number, why: string): void {
    this.pump.pump(worker);
    this.book.buryWorker(worker);
    this.servers_.flows.clear(worker);
    this.connections.clear(worker);
    this.sources.clear(worker);
    if (!this.draining) this.log.error({ worker, why }, 'a worker has died; its flows are lost, and it is started again');
  }

  // --- leaving -------------------------------------------------------------------------------------------------------------------

  /** Takes no new connections, lets what is under way finish, and ends when all has or the time is over. Answers how many were cut. */
  async drain(withinMs: number): Promise<number> {
    this.draining = true;
    this.renewal.stop();
    this.health.stop();
    this.crew.drain();
    const until = performance.now() + withinMs;
    while (!this.crew.drained && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
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
    return { ready: true, reason: 'ready' };
  }

  counters(): Counters {
    const kept = this.journal.counts();
    return { ...this.book.read(), journal: { ...kept, dropped: kept.dropped + this.pump.dropped }, workerRestarts: this.crew.restarts };
  }

  servers(): ServerState[] {
    const now = Date.now();
    return (this.inForce?.document.pools ?? []).flatMap((pool) =>
      pool.servers.map((server): ServerState => {
        const row = this.planner.rowOf(pool.name, server.endpoint.text)!;
        const ejectedUntil = this.servers_.ejectedUntil(row);
        return {
          pool: pool.name,
          server: server.endpoint.text,
          weight: server.weight,
          draining: server.drain,
          up: this.servers_.up(row),
          checkDetail: this.health.detail(pool.name, server.endpoint.text),
          ejectedUntil: ejectedUntil > now ? ejectedUntil : 0,
          flowsActive: this.servers_.flows.total(row),
          dials: this.servers_.dialsOf(row),
        };
      }),
    );
  }

  workers(): WorkerState[] {
    return this.crew.members.map((member) => ({
      id: member.id,
      generation: member.generation,
      connections: this.connections.own(member.id, 0),
    }));
  }

  async liveFlows(limit: number): Promise<FlowRecord[]> {
    const flows = await this.crew.flows(limit, null);
    return flows.sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, limit);
  }

  async flow(receipt: string): Promise<FlowRecord | null> {
    const [live] = await this.crew.flows(1, receipt);
    if (live !== undefined) return live;
    this.pump.pumpAll();
    return this.journal.find(receipt);
  }

  async recentFlows(
    limit: number,
    denied: boolean,
    filter: { application?: string; source?: string; rule?: string } = {},
  ): Promise<FlowRecord[]> {
    // Asked for none, the workers hand over the records that they still hold.
    await this.crew.flows(0, null);
    this.pump.pumpAll();
    return this.journal.recent(limit, { ...filter, denied });
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

function endpointOf(document: Document, text: string): Endpoint {
  for (const application of document.applications) for (const vip of application.vips) if (vip.endpoint.text === text) return vip.endpoint;
  throw new Error(`no VIP ${text} in the document`);
}
