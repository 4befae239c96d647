/** What is told of orders: entries of the audit, events for whoever listens, refusals with their reasons. */
import type { LoadResult } from '../../config/load.ts';
import type { Node } from '../node/node.ts';
import type { Logger } from '../observe/log.ts';
import type { Actor } from './actor.ts';
import type { Audit } from './audit.ts';
import type { AuditFields } from './audit-chain.ts';
import { type ControlEvent, type InForce, type ProblemView, problemView, type Refused } from './orders.ts';
import type { Cause } from './record.ts';

const DETAIL_CHARACTERS_MAX = 500;

type Unreadable = LoadResult & { readonly ok: false };

export class Register {
  readonly #node: Node;
  readonly #audit: Audit;
  readonly #log: Logger;
  readonly #listeners = new Set<(event: ControlEvent) => void>();

  constructor(node: Node, audit: Audit, log: Logger) {
    this.#node = node;
    this.#audit = audit;
    this.#log = log;
  }

  listen(listener: (event: ControlEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(event: Omit<ControlEvent, 'time'>): void {
    const told = { time: new Date().toISOString(), ...event };
    for (const listener of this.#listeners) listener(told);
  }

  /** A disk that takes no audit does not keep an operator from acting: the entry waits in memory, and stands in the log meanwhile. Answers
   * whether it is written. */
  async note(
    actor: Actor,
    action: string,
    outcome: AuditFields['outcome'],
    version: number | null,
    generation: number | null,
    detail: string,
  ): Promise<boolean> {
    const { name, role, from } = actor;
    const line = detail.replace(/\s+/g, ' ').slice(0, DETAIL_CHARACTERS_MAX);
    const entry = await this.#audit.record({ who: name, role, from, action, outcome, version, generation, detail: line });
    if (entry === null)
      this.#log.error(
        { who: name, from, action, outcome, version, detail: line },
        'the audit does not have this yet: it waits for the disk',
      );
    return entry !== null;
  }

  /** A document that could not be read: counted by the node like any refused change. */
  refuseDocument(actor: Actor, action: Cause, loaded: Unreadable): Refused {
    this.#node.refuseProblems(loaded.problems);
    const message = badDocument(loaded);
    this.#refused(actor, action, message);
    return { ok: false, code: 'bad-document', message, problems: loaded.problems.map(problemView) };
  }

  refuseProblems(actor: Actor, action: Cause, problems: readonly string[]): Refused {
    const refused = refusedWith(problems);
    this.#refused(actor, action, refused.message);
    return refused;
  }

  refuseStale(actor: Actor, action: string, expected: number, inForce: InForce): Refused {
    const { generation, version, author, time } = inForce;
    const message = `Generation ${generation} is in force (version ${version} by ${author}, ${time}), not ${expected}: look at what changed, and apply again on top of it.`;
    void this.note(actor, action, 'refused', null, generation, message);
    return { ok: false, code: 'stale-generation', message, in_force: inForce };
  }

  refuseUnconfirmed(actor: Actor, action: string, until: string, inForce: InForce): Refused {
    const message = `Version ${inForce.version} waits for its confirmation until ${until}: confirm it (bulkhead apply --confirm-now) or go back (bulkhead rollback) first.`;
    void this.note(actor, action, 'refused', null, null, message);
    return { ok: false, code: 'unconfirmed', message, in_force: inForce };
  }

  #refused(actor: Actor, action: Cause, message: string): void {
    void this.note(actor, action, 'refused', null, null, message);
    this.tell({ ...about(actor, action, null), kind: 'refused', detail: message });
  }
}

export const RESTART_NEEDED: ProblemView = {
  code: 'restart-needed',
  severity: 'warning',
  path: '/process',
  at: null,
  message: 'process: differs from what this node was started with; it is read at start only, from the file on the command line.',
};

/** The parts of an event about something that changed nothing. */
export function about(actor: Actor, cause: Cause, version: number | null) {
  return { cause, author: actor.name, from: actor.from, version, generation: null, revoked: 0, draining: 0, kept: 0 } as const;
}

export function badDocument({ problems }: Unreadable): string {
  const errors = problems.filter(({ severity }) => severity === 'error');
  return `The document has ${errors.length} error${errors.length === 1 ? '' : 's'}: ${errors[0]?.message ?? ''}`;
}

/** `place: error[code]: message`, as a file is complained of. */
const FORMATTED = /^(?:(\S.*?:[0-9]+:[0-9]+): )?(?:error|warning)\[([a-z0-9-]+)\]: (.+)$/s;

/** What was formatted as a problem already is taken apart again, so that whoever prints it writes one prefix and not two. */
export function refusedWith(problems: readonly string[]): Refused {
  const view = problems.map((text): ProblemView => {
    const [, at = null, code, message] = FORMATTED.exec(text) ?? [];
    if (code !== undefined && message !== undefined) return { code, severity: 'error', path: '', at, message };
    return { code: text.startsWith('test failed: ') ? 'test-failed' : 'refused', severity: 'error', path: '', at: null, message: text };
  });
  return { ok: false, code: 'refused', message: problems[0] ?? 'The document cannot be applied.', problems: view };
}
