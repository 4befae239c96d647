/**
 * Orders to a running node, one at a time: each is checked against what is in force, applied whole or not at all, kept as a version, and
 * written to the audit. What ends by itself takes its turn among them.
 */
import type { Document } from '../../config/document.ts';
import { type LoadResult, parseDocument, type Source } from '../../config/load.ts';
import type { Node } from '../node/node.ts';
import type { Logger } from '../observe/log.ts';
import { type Actor, nodeActor } from './actor.ts';
import { Archive } from './archive.ts';
import type { Audit } from './audit.ts';
import { dryRunOf } from './dry-run.ts';
import { RETRY_MS_DEFAULT } from './ending.ts';
import { Endings, type Hindered } from './endings.ts';
import { GuardWatch } from './guard-watch.ts';
import type {
  ApplyOrder,
  ControlEvent,
  Done,
  DryRun,
  InForce,
  Orders,
  Outcome,
  ProblemView,
  QuarantineOrder,
  Refused,
  RollbackOrder,
  ServerOrder,
} from './orders.ts';
import { problemView } from './orders.ts';
import { conflicts, layOver } from './overlay.ts';
import { addQuarantine, addServer, type Change, removeQuarantine } from './overlay-orders.ts';
import type { Overlay, Quarantine, ServerOverride } from './record.ts';
import { badDocument, RESTART_NEEDED, Register } from './register.ts';
import { type Carried, Settled } from './settled.ts';
import { type Start, settleStart } from './start.ts';
import type { Step } from './step.ts';
import type { VersionStore } from './store.ts';
import { warningsOf } from './warnings.ts';

export class Control implements Orders {
  readonly archive: Archive;
  readonly #node: Node;
  readonly #store: VersionStore;
  readonly #now: Settled;
  readonly #log: Logger;
  readonly #register: Register;
  readonly #watch: GuardWatch;
  readonly #endings: Endings;
  /** What `process:` said at the start, when it was read. */
  #process = '';
  #queue: Promise<unknown> = Promise.resolve();
  /** Another process has taken over. */
  #followed = false;

  /** `retryMs`: after which what is to end by itself, and could not, is tried again. */
  constructor(node: Node, store: VersionStore, audit: Audit, log: Logger, retryMs = RETRY_MS_DEFAULT) {
    this.#node = node;
    this.archive = new Archive(store, audit);
    this.#store = store;
    this.#log = log;
    this.#register = new Register(node, audit, log);
    this.#now = new Settled(node, this.archive, this.#register, log);
    this.#watch = new GuardWatch(node);
    this.#endings = new Endings({
      ...{ now: this.#now, register: this.#register, log, watch: this.#watch, retryMs },
      inTurn: (work) => this.#inTurn(work),
      carryOut: (step) => this.#carryOut(step),
    });
    this.archive.report(node.problems);
  }

  /** Brings the first policy into force: the file's, or a newer version than the file where the file was not changed since. */
  async start(file: readonly Source[], document: Document): Promise<Outcome> {
    return this.#inTurn(async () => {
      await this.archive.reserve();
      const start: Start = await settleStart(file, document, this.#store, Date.now());
      for (const path of this.#store.damaged) this.#log.warn({ path }, 'a version is damaged and passed over');
      for (const line of start.news) this.#log.warn({}, line);
      this.#now.file = file;
      this.#process = JSON.stringify(document.process);
      this.#now.newest = this.#store.newest;
      const step = { ...start, cause: 'start', actor: nodeActor('start'), note: start.note, confirm: null } as const;
      let outcome = await this.#bring(step, start.unchanged);
      if (!outcome.ok && start.fallback) {
        this.#log.error({ problems: outcome.problems }, 'the newest version cannot be brought into force any more; starting on the file');
        outcome = await this.#bring({ ...step, sources: file, document, note: null }, false);
      }
      return outcome;
    });
  }

  /** SIGHUP: the file is applied as it is now, whatever was applied over the API since it was last read; that is said. */
  async reload(file: readonly Source[], loaded: LoadResult): Promise<Outcome> {
    const outcome = await this.#inTurn(() => this.#reload(file, loaded));
    const { problems } = this.#node;
    if (outcome.ok) problems.settle('reload', []);
    else problems.settle('reload', [['', `The file is refused, and the last good policy stays in force: ${outcome.message}`]]);
    return outcome;
  }

  async #reload(file: readonly Source[], loaded: LoadResult): Promise<Outcome> {
    const actor = nodeActor('signal');
    if (!loaded.ok) return this.#register.refuseDocument(actor, 'signal', loaded);
    const waiting = this.#refuseUnconfirmed(actor, 'signal');
    if (waiting !== null) return waiting;
    const { document } = loaded;
    const undone = this.#now.undoneBy(document);
    const before = this.#now.file;
    this.#now.file = file;
    const step = { sources: file, document, overlay: this.#now.overlay, cause: 'signal', actor, note: undone, confirm: null } as const;
    const outcome = await this.#bring(step);
    if (!outcome.ok) this.#now.file = before;
    else if (undone !== null) this.#log.warn({ version: outcome.version }, undone);
    return outcome;
  }

  // --- orders --------------------------------------------------------------------------------------------------------------------

  apply(order: ApplyOrder): Promise<Outcome> {
    return this.#inTurn(async () => {
      const { actor, sources, note } = order;
      const refused = this.#refuseStale(order.expected, actor, 'apply') ?? this.#refuseUnconfirmed(actor, 'apply');
      if (refused !== null) return refused;
      const loaded = parseDocument(sources);
      if (!loaded.ok) return this.#register.refuseDocument(actor, 'apply', loaded);
      const { document } = loaded;
      if (this.#now.isInForce(sources, document))
        return this.#now.nothing('apply', actor, 'the document is in force already', this.#warnings(loaded));
      const before = this.#now.newest!;
      const confirm = order.confirmMs === null ? null : { until: Date.now() + order.confirmMs, revertTo: before.version };
      const step = { sources, document, overlay: this.#now.overlay, cause: 'apply', actor, note, confirm } as const;
      const guard = order.guard === null ? null : { bounds: order.guard, start: this.#watch.look() };
      const outcome = await this.#bring({ ...step, warnings: () => this.#warnings(loaded) });
      if (outcome.ok) this.#endings.applied(before, guard);
      return outcome;
    });
  }

  async dryRun(sources: readonly Source[]): Promise<DryRun | Refused> {
    const loaded = parseDocument(sources);
    if (!loaded.ok) return { ok: false, code: 'bad-document', message: badDocument(loaded), problems: loaded.problems.map(problemView) };
    const wanted = { document: loaded.document, overlay: this.#now.overlay, warnings: () => this.#warnings(loaded) };
    return dryRunOf(this.#node, this.inForce(), this.#now.standing!.document, wanted);
  }

  /** Of a good document, what `bulkhead check` says of it as well. */
  #warnings({ document, warnings }: LoadResult & { readonly ok: true }): ProblemView[] {
    const found = warningsOf(document, this.#node.unknownOf(document), Date.now());
    return [...warnings.map(problemView), ...found, ...this.#restartNeeded(document)];
  }

  confirm(actor: Actor): Promise<Outcome> {
    return this.#inTurn(async () => {
      const waiting = this.#now.newest?.confirm ?? null;
      if (waiting === null) {
        void this.#register.note(actor, 'confirm', 'refused', null, null, 'nothing waits for a confirmation');
        return { ok: false, code: 'nothing-to-confirm', message: 'No version waits for a confirmation.' };
      }
      const { version } = this.#now.newest!;
      const step: Step = {
        ...this.#now.standing!,
        overlay: this.#now.overlay,
        cause: 'confirm',
        actor,
        note: `confirms version ${version}`,
        confirm: null,
      };
      const generation = this.#node.policy().generation;
      return this.#settle(step, { generation, revoked: 0, draining: 0, kept: 0, milliseconds: 0 }, false);
    });
  }

  rollback(order: RollbackOrder): Promise<Outcome> {
    return this.#inTurn(async () => {
      const { actor } = order;
      const stale = this.#refuseStale(order.expected, actor, 'rollback');
      if (stale !== null) return stale;
      const number = order.version ?? this.#now.newest!.confirm?.revertTo ?? this.#previous();
      const record = number === null ? null : (this.#endings.kept(number) ?? (await this.#store.read(number)));
      if (record === null) {
        const message =
          number === null
            ? 'There is no earlier version to go back to.'
            : `There is no version ${number}: bulkhead versions lists those that there are.`;
        void this.#register.note(actor, 'rollback', 'refused', number, null, message);
        return { ok: false, code: 'no-such-version', message };
      }
      const loaded = parseDocument(record.sources);
      if (!loaded.ok) return this.#register.refuseDocument(actor, 'rollback', loaded);
      const note = order.note ?? `back to version ${record.version}`;
      const standing = { sources: record.sources, document: loaded.document };
      return this.#bring({ ...standing, overlay: this.#now.overlay, cause: 'rollback', actor, note, confirm: null });
    });
  }

  quarantine(order: QuarantineOrder): Promise<(Done & { quarantine: Quarantine }) | Refused> {
    return this.#inTurn(async () => {
      const change = this.#quarantineOf(order);
      const outcome = await this.#changeOverlay(change, 'quarantine', order.actor);
      return outcome.ok && change.ok ? { ...outcome, quarantine: change.item } : (outcome as Refused);
    });
  }

  async dryQuarantine(order: QuarantineOrder): Promise<DryRun | Refused> {
    const change = this.#quarantineOf({ ...order, wide: true });
    if (!change.ok) return change.refused;
    const { document } = this.#now.standing!;
    return dryRunOf(this.#node, this.inForce(), document, { document, overlay: change.overlay, warnings: () => [] });
  }

  #quarantineOf(order: QuarantineOrder): Change<Quarantine> {
    const wish = { ...order, number: this.#store.next, author: order.actor.name, now: Date.now() };
    return addQuarantine(this.#now.overlay, this.#now.standing!.document, wish);
  }

  release(order: { name: string; actor: Actor }): Promise<Outcome> {
    return this.#inTurn(() => this.#changeOverlay(removeQuarantine(this.#now.overlay, order.name), 'release', order.actor));
  }

  setServer(order: ServerOrder): Promise<(Done & { override: ServerOverride | null }) | Refused> {
    return this.#inTurn(async () => {
      const change = addServer(this.#now.overlay, this.#now.standing!.document, this.#node.servers(), order, order.actor.name, Date.now());
      const isAsItWas = change.ok && change.overlay === this.#now.overlay;
      const outcome = isAsItWas
        ? await this.#now.nothing('server', order.actor, `${change.note} already`, [])
        : await this.#changeOverlay(change, 'server', order.actor);
      return outcome.ok && change.ok ? { ...outcome, override: change.item } : (outcome as Refused);
    });
  }

  // --- being asked ---------------------------------------------------------------------------------------------------------------

  inForce(): InForce {
    return this.#now.inForce();
  }

  overlay(): Overlay {
    return this.#now.overlay;
  }

  confirmBy(): string | null {
    return this.#now.confirmBy();
  }

  recordRefusal(actor: Actor, action: string, detail: string): void {
    void this.#register.note(actor, action, 'refused', null, null, detail);
  }

  onEvent(listener: (event: ControlEvent) => void): () => void {
    return this.#register.listen(listener);
  }

  onRecords(listener: (lines: Uint8Array) => void): () => void {
    return this.#node.watchRecords(listener);
  }

  /** Waits for what is under way, and ends every timer. Nothing is ordered afterwards. */
  async close(): Promise<void> {
    this.#endings.close();
    await this.#queue;
    await this.archive.close();
  }

  /**
   * Waits for what is under way, and lets nothing begin until the returned function is called. What has waited is then carried out, or refused where
   * another process has followed this one: its orders are given there.
   */
  async hold(): Promise<(followed: boolean) => void> {
    const gate = Promise.withResolvers<void>();
    const before = this.#queue;
    this.#queue = before.then(() => gate.promise);
    await before;
    return (followed) => {
      this.#followed = followed;
      gate.resolve();
    };
  }

  // --- carrying out --------------------------------------------------------------------------------------------------------------

  #inTurn<T>(order: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(() => {
      if (this.#followed) throw new Error('a new process has taken over from this one; give the order again');
      return order();
    });
    this.#queue = result.catch((error: unknown) => this.#log.error({ err: error }, 'an order has failed'));
    return result;
  }

  /** Brings a document with an overlay into force, and tells where it could not. `unchanged`: it is the newest version already. */
  async #bring(step: Step, unchanged = false): Promise<Outcome> {
    const outcome = await this.#carryOut(step, unchanged);
    return outcome.ok ? outcome : this.#register.refuseProblems(step.actor, step.cause, outcome.problems);
  }

  /** Brings it into force, and settles what follows from it. */
  async #carryOut(step: Step, unchanged = false): Promise<Done | Hindered> {
    const { document, overlay } = step;
    const problems = conflicts(document, overlay);
    if (problems.length > 0) return { ok: false, problems };
    const result = await this.#node.apply(document, (written) => layOver(written, overlay));
    return result.ok ? this.#settle(step, result, unchanged) : result;
  }

  async #settle(step: Step, carried: Carried, unchanged: boolean): Promise<Done> {
    const done = await this.#now.settle(step, carried, unchanged);
    this.#endings.settled();
    return done;
  }

  async #changeOverlay(change: Change<unknown>, cause: 'quarantine' | 'release' | 'server', actor: Actor): Promise<Outcome> {
    if (!change.ok) {
      void this.#register.note(actor, cause, 'refused', null, null, change.refused.message);
      return change.refused;
    }
    // What waits for its confirmation goes on waiting.
    const confirm = this.#now.newest?.confirm ?? null;
    return this.#bring({ ...this.#now.standing!, overlay: change.overlay, cause, actor, note: change.note, confirm });
  }

  /** The newest version with another document than the one in force. */
  #previous(): number | null {
    const now = this.#now.newest!.sha256;
    return this.#store.list().find(({ sha256 }) => sha256 !== now)?.version ?? null;
  }

  // --- refusing --------------------------------------------------------------------------------------------------------------------

  #restartNeeded({ process }: Document): ProblemView[] {
    return JSON.stringify(process) === this.#process ? [] : [RESTART_NEEDED];
  }

  /** An order made on any state since the newest version is fresh: what the node recompiles by itself takes nobody's change away. */
  #refuseStale(expected: number | null, actor: Actor, action: string): Refused | null {
    if (expected === null) return null;
    const inForce = this.inForce();
    if (expected >= this.#now.since && expected <= inForce.generation) return null;
    return this.#register.refuseStale(actor, action, expected, inForce);
  }

  #refuseUnconfirmed(actor: Actor, action: string): Refused | null {
    const until = this.confirmBy();
    return until === null ? null : this.#register.refuseUnconfirmed(actor, action, until, this.inForce());
  }
}
