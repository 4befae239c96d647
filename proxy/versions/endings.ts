/** What ends by itself: a quarantine whose time is over, a version that nobody confirms, and one that a guard finds harmful. */
import { parseDocument, type Source } from '../../config/load.ts';
import type { Logger } from '../observe/log.ts';
import { nodeActor } from './actor.ts';
import { Ending, type InTurn } from './ending.ts';
import type { GuardBounds } from './guard.ts';
import type { Before, GuardWatch } from './guard-watch.ts';
import type { Done } from './orders.ts';
import { type Cause, sameTexts, type VersionRecord } from './record.ts';
import { about, badDocument, type Register } from './register.ts';
import type { Settled } from './settled.ts';
import type { Step } from './step.ts';

/** A step that changed nothing, and why. */
export interface Hindered {
  readonly ok: false;
  readonly problems: readonly string[];
}

export interface EndingsSettings {
  readonly now: Settled;
  readonly register: Register;
  readonly log: Logger;
  readonly watch: GuardWatch;
  readonly inTurn: InTurn;
  /** Brings a step into force, and tells of it only where it could. */
  readonly carryOut: (step: Step) => Promise<Done | Hindered>;
  readonly retryMs: number;
}

interface Guarded {
  readonly sources: readonly Source[];
  readonly before: VersionRecord;
  /** What the guard found; null for as long as it found nothing. */
  harm: string | null;
}

export class Endings {
  readonly #of: EndingsSettings;
  readonly #expiry: Ending;
  readonly #deadline: Ending;
  readonly #harmed: Ending;
  /** What the last apply took the place of. It is kept here, so that going back waits for no disk. */
  #before: VersionRecord | null = null;
  #guarded: Guarded | null = null;

  constructor(of: EndingsSettings) {
    this.#of = of;
    const { inTurn, retryMs } = of;
    const ending = (attempt: () => Promise<readonly string[]>, cause: Cause, what: () => string) => {
      const hindered = (problems: readonly string[]) => {
        of.register.refuseProblems(nodeActor('node'), cause, problems);
        of.log.error({ problems }, `${what()}; it is tried again`);
      };
      return new Ending(attempt, { inTurn, retryMs, hindered });
    };
    this.#expiry = ending(
      () => this.#expire(),
      'expiry',
      () => 'a quarantine is over, but could not be lifted',
    );
    const hinderedBack = (why: string | null | undefined, to: number | undefined) => `${why}, but going back to version ${to} was refused`;
    this.#deadline = ending(
      () => this.#revertUnconfirmed(),
      'revert',
      () => hinderedBack(this.#unconfirmed(), this.#before?.version),
    );
    this.#harmed = ending(
      () => this.#revertHarmful(),
      'revert',
      () => hinderedBack(this.#guarded?.harm, this.#guarded?.before.version),
    );
  }

  /** What the last apply took the place of, where it is this version. */
  kept(version: number): VersionRecord | null {
    return this.#before?.version === version ? this.#before : null;
  }

  /** A document was applied over a version. `guard`: taken back where a share rises beyond its bound, for as long as no other document is in force. */
  applied(before: VersionRecord, guard: { readonly bounds: GuardBounds; readonly start: Before } | null): void {
    this.#before = before;
    if (guard === null) return;
    const { now, register, watch } = this.#of;
    const { version } = now.newest!;
    const guarded: Guarded = { sources: now.standing!.sources, before, harm: null };
    this.#guarded = guarded;
    watch.begin(guard.bounds, guard.start, (harm) => {
      register.tell({ ...about(nodeActor('node'), 'revert', version), kind: 'guarded', detail: harm });
      guarded.harm = harm;
      this.#harmed.at(Date.now());
    });
  }

  /** Something was settled, which may end at another moment than what was before it, or not at all. */
  settled(): void {
    const { now, watch } = this.#of;
    if (this.#guarded !== null && !sameTexts(this.#guarded.sources, now.standing!.sources)) {
      this.#guarded = null;
      watch.stop();
      this.#harmed.at(Number.POSITIVE_INFINITY);
    }
    this.#expiry.at(Math.min(...now.overlay.quarantines.map(({ until }) => until)));
    this.#deadline.at(now.newest?.confirm?.until ?? Number.POSITIVE_INFINITY);
  }

  close(): void {
    for (const ending of [this.#expiry, this.#deadline, this.#harmed]) ending.close();
    this.#of.watch.close();
  }

  async #expire(): Promise<readonly string[]> {
    const { now } = this.#of;
    const moment = Date.now();
    const quarantines = now.overlay.quarantines.filter(({ until }) => until > moment);
    const over = now.overlay.quarantines.filter(({ until }) => until <= moment);
    // Where the clock was set back since the alarm, it is not the moment yet.
    if (over.length === 0) {
      this.settled();
      return [];
    }
    const confirm = now.newest?.confirm ?? null;
    const note = `${over.map(({ name, target }) => `${name} (${target.text})`).join(', ')} is over`;
    const overlay = { ...now.overlay, quarantines };
    return this.#end({ ...now.standing!, overlay, cause: 'expiry', actor: nodeActor('node'), note, confirm });
  }

  #unconfirmed(): string {
    return `version ${this.#of.now.newest!.version} was not confirmed in time`;
  }

  async #revertUnconfirmed(): Promise<readonly string[]> {
    const confirm = this.#of.now.newest?.confirm ?? null;
    if (confirm === null) return [];
    if (confirm.until > Date.now()) {
      this.settled();
      return [];
    }
    // Whatever waits for its confirmation was applied by this process: a start goes back at once.
    return this.#revert(this.#before!, this.#unconfirmed());
  }

  async #revertHarmful(): Promise<readonly string[]> {
    const guarded = this.#guarded;
    return guarded === null || guarded.harm === null ? [] : this.#revert(guarded.before, guarded.harm);
  }

  async #revert({ version: to, sources }: VersionRecord, why: string): Promise<readonly string[]> {
    const loaded = parseDocument(sources);
    if (!loaded.ok) return [badDocument(loaded)];
    const { now, log } = this.#of;
    const { document } = loaded;
    const note = `${why}; back to version ${to}`;
    const actor = nodeActor('node');
    const problems = await this.#end({ sources, document, overlay: now.overlay, cause: 'revert', actor, note, confirm: null });
    if (problems.length === 0) log.warn({ version: now.newest!.version, generation: now.since }, note);
    return problems;
  }

  async #end(step: Step): Promise<readonly string[]> {
    const ended = await this.#of.carryOut(step);
    return ended.ok ? [] : ended.problems;
  }
}
