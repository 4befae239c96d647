/**
 * The worker threads: started, told, asked, and replaced when one dies. What a dead worker held in shared memory is
 * given back here, so that nothing waits for it.
 */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { JSONWebKeySet } from 'jose';
import type { FlowRecord } from '../observe/view.ts';
import type { Desk, FromWorker, ListenFailure, Plan, SharedMemory, ToWorker, WorkerStart } from './plan.ts';

/** A worker that dies young is started again after this long, doubled each time up to the most. */
const RESTART_MS_FIRST = 100;
const RESTART_MS_MOST = 5_000;
/** A worker that lived this long is no longer young. */
const STEADY_MS = 30_000;
/** A question to a worker that is not answered within this is answered without it. */
const ASK_MS = 2_000;
const DRAIN_POLL_MS = 20;
/** Whoever has a port for a moment may be gone by then. */
const BIND_MS_DEFAULT = 5_000;

export type Swapped = Extract<FromWorker, { type: 'swapped' }>;
export type PreparedWorker = Extract<FromWorker, { type: 'prepared' }>;

export interface CrewEvents {
  /** A worker has ended by itself. Shared memory is to be cleared of it before the call returns. */
  died(worker: number, why: string): void;
  prepared(worker: number, result: PreparedWorker): void;
  swapped(worker: number, result: Swapped): void;
  /** A worker has tried again to bind its VIPs; what it still could not. */
  bound(worker: number, failures: readonly ListenFailure[]): void;
  /** The journal ring of a worker wants to be emptied. */
  pressing(worker: number): void;
  /** A flow whose rule asks to be logged. */
  decided(flow: Extract<FromWorker, { type: 'decided' }>): void;
  /** A worker has met a token whose key it does not have. */
  keysWanted(location: string): void;
  /** Key sets that are known, for a worker that starts. */
  keys(): Iterable<readonly [location: string, keys: JSONWebKeySet]>;
  trouble(worker: number, message: string, detail: Record<string, string | number>): void;
}

interface Member {
  readonly id: number;
  thread: Worker | null;
  generation: number;
  /** Which generation it is ready for. */
  prepared: number;
  idle: boolean;
  startedAt: number;
  restartMs: number;
  failure: string;
}

export class Crew {
  readonly members: readonly Member[];
  private readonly shared: SharedMemory;
  private readonly rings: readonly SharedArrayBuffer[];
  private readonly events: CrewEvents;
  private readonly bindMs: number;
  private plans: readonly Plan[] = [];
  private readonly waiting = new Map<number, (flows: readonly FlowRecord[]) => void>();
  private question = 0;
  private stopping = false;
  restarts = 0;

  /** `bindMs`: after which a worker tries again to bind what it could not. */
  constructor(shared: SharedMemory, rings: readonly SharedArrayBuffer[], events: CrewEvents, bindMs = BIND_MS_DEFAULT) {
    this.bindMs = bindMs;
    this.shared = shared;
    this.rings = rings;
    this.events = events;
    this.members = Array.from({ length: shared.workers }, (_, id) => ({
      id,
      thread: null,
      generation: 0,
      prepared: 0,
      idle: false,
      startedAt: 0,
      restartMs: RESTART_MS_FIRST,
      failure: '',
    }));
  }

  /** Has every worker make ready for a policy, one plan each; starts those that do not run. Answers come as `prepared`. */
  prepare(plans: readonly Plan[]): void {
    for (const member of this.members) {
      if (member.thread === null) this.start(member);
      this.tell(member, { type: 'prepare', plan: plans[member.id]! });
    }
  }

  /** Brings the policy that was prepared into force, also in workers that are not ready for it. Answers come as `swapped`. */
  commit(plans: readonly Plan[]): void {
    this.plans = plans;
    for (const member of this.members) {
      const plan = plans[member.id]!;
      if (member.thread === null) this.start(member);
      if (member.prepared === plan.generation) this.tell(member, { type: 'commit', generation: plan.generation });
      else this.tell(member, { type: 'swap', plan });
    }
  }

  /** The policy that was prepared does not come into force. */
  abandon(generation: number): void {
    for (const member of this.members) this.tell(member, { type: 'abandon', generation });
  }

  /**
   * Takes no new connections, and waits until every worker is idle or the time is over. For the first `patienceMs`, clients that are idle may still come
   * and be told that their connection ends; after that, theirs are closed.
   */
  async leave(withinMs: number, patienceMs: number, handedOver: boolean): Promise<void> {
    const startedAt = performance.now();
    const idleWithin = async (milliseconds: number) => {
      while (!this.drained && performance.now() - startedAt < milliseconds) await new Promise((done) => setTimeout(done, DRAIN_POLL_MS));
    };
    if (patienceMs > 0) {
      this.drain(handedOver, true);
      await idleWithin(patienceMs);
    }
    this.drain(handedOver, false);
    await idleWithin(withinMs);
  }

  private drain(handedOver: boolean, patient: boolean): void {
    this.stopping = true;
    for (const member of this.members) {
      if (member.thread === null) member.idle = true;
      else this.tell(member, { type: 'drain', handedOver, patient });
    }
  }

  /** Has every running worker bring its listening sockets to the desk; answers how many will. */
  lend(desk: Desk): number {
    const running = this.members.filter((member) => member.thread !== null);
    for (const member of running) this.tell(member, { type: 'lend', desk });
    return running.length;
  }

  private get drained(): boolean {
    return this.members.every((member) => member.idle);
  }

  /** Ends every worker, with what it still carries. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(
      this.members.map(async (member) => {
        const { thread } = member;
        if (thread === null) return;
        const gone = new Promise<void>((resolve) => thread.once('exit', () => resolve()));
        this.tell(member, { type: 'stop' });
        const timer = setTimeout(() => void thread.terminate(), ASK_MS);
        await gone;
        clearTimeout(timer);
      }),
    );
  }

  /** Keys of a token issuer, for every worker. */
  teach(location: string, keys: JSONWebKeySet | null): void {
    for (const member of this.members) this.tell(member, { type: 'keys', location, keys });
  }

  /** Live flows of all workers; with a receipt, only that one. */
  async flows(limit: number, receipt: string | null): Promise<FlowRecord[]> {
    const answers = await Promise.all(this.members.map((member) => this.ask(member, limit, receipt)));
    return answers.flatMap((answer) => answer ?? []);
  }

  /** Whether every worker that runs answers in time. */
  async answers(): Promise<boolean> {
    return (await Promise.all(this.members.map((member) => this.ask(member, 0, null)))).every((answer) => answer !== null);
  }

  /** null where there was no answer in time. */
  private ask(member: Member, limit: number, receipt: string | null): Promise<readonly FlowRecord[] | null> {
    if (member.thread === null) return Promise.resolve([]);
    const id = ++this.question;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        resolve(null);
      }, ASK_MS);
      this.waiting.set(id, (flows) => {
        clearTimeout(timer);
        this.waiting.delete(id);
        resolve(flows);
      });
      this.tell(member, { type: 'flows', id, limit, receipt });
    });
  }

  private tell(member: Member, message: ToWorker): void {
    member.thread?.postMessage(message);
  }

  private start(member: Member): void {
    const workerData: WorkerStart = {
      worker: member.id,
      shared: this.shared,
      ring: this.rings[member.id]!,
      receiptPrefix: `${randomBytes(4).toString('hex')}${member.id.toString(36)}`,
      bindMs: this.bindMs,
    };
    const thread = new Worker(new URL('../worker/worker.ts', import.meta.url), { workerData, execArgv: [], name: `worker-${member.id}` });
    member.thread = thread;
    member.startedAt = performance.now();
    member.failure = '';
    thread.on('message', (message: FromWorker) => this.heard(member, message));
    thread.on('error', (error: unknown) => {
      member.failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    thread.on('exit', (status) => this.ended(member, status));
    for (const [location, keys] of this.events.keys()) this.tell(member, { type: 'keys', location, keys });
  }

  /** With the policy in force; before there is one, the first brings it. */
  private startAgain(member: Member): void {
    const plan = this.plans[member.id];
    if (this.stopping || member.thread !== null || plan === undefined) return;
    this.start(member);
    this.tell(member, { type: 'swap', plan });
  }

  private ended(member: Member, status: number): void {
    member.thread = null;
    member.generation = 0;
    member.prepared = 0;
    member.idle = true;
    this.events.died(member.id, member.failure || `exit ${status}`);
    if (this.stopping) return;
    member.idle = false;
    this.restarts++;
    if (performance.now() - member.startedAt > STEADY_MS) member.restartMs = RESTART_MS_FIRST;
    setTimeout(() => this.startAgain(member), member.restartMs);
    member.restartMs = Math.min(member.restartMs * 2, RESTART_MS_MOST);
  }

  private heard(member: Member, message: FromWorker): void {
    switch (message.type) {
      case 'prepared':
        member.prepared = message.generation;
        this.events.prepared(member.id, message);
        break;
      case 'swapped':
        member.generation = message.generation;
        this.events.swapped(member.id, message);
        break;
      case 'bound':
        this.events.bound(member.id, message.failures);
        break;
      case 'flows':
        this.waiting.get(message.id)?.(message.flows);
        break;
      case 'idle':
        member.idle = true;
        break;
      case 'keys-wanted':
        this.events.keysWanted(message.location);
        break;
      case 'pressing':
        this.events.pressing(member.id);
        break;
      case 'decided':
        this.events.decided(message);
        break;
      case 'trouble':
        this.events.trouble(member.id, message.message, message.detail);
        break;
      default:
        message satisfies never;
    }
  }
}
