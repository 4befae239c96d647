/** The VIPs of a worker: which acceptor has each, through changes of policy. A VIP that stays keeps its socket, whoever has it afterwards. */
import type { Plan, PlannedApplication } from '../node/plan.ts';
import { Acceptor } from './acceptor.ts';
import type { Context } from './context.ts';
import { fetchInherited } from './inherited.ts';
import { Opening } from './opening.ts';

export type Failures = { endpoint: string; code: string }[];

export interface Openings {
  readonly opened: ReadonlyMap<string, Opening>;
  readonly failures: Failures;
}

export class Vips {
  private readonly context: Context;
  private readonly trouble: (errno: number) => void;
  private readonly acceptors = new Map<string, Acceptor>();

  constructor(context: Context, trouble: (errno: number) => void) {
    this.context = context;
    this.trouble = trouble;
  }

  [Symbol.iterator](): Iterator<Acceptor> {
    return this.acceptors.values();
  }

  /** Binds what a plan has and this worker has not, beside what there is. */
  async open(plan: Plan): Promise<Openings> {
    const { context, acceptors, trouble } = this;
    const inherited = await fetchInherited(plan, context.worker, ({ endpoint }) => !acceptors.has(endpoint.text));
    const opened = new Map<string, Opening>();
    const failures: Failures = [];
    for (const { endpoint } of plan.vips) {
      if (acceptors.has(endpoint.text)) continue;
      const given = inherited.get(endpoint.text) ?? null;
      // A unix socket can be bound once: the first worker has them all, but for those that were given to every worker.
      if (endpoint.kind === 'unix' && context.worker !== 0 && (given === null || given.sockets.length === 0)) continue;
      const opening = new Opening(endpoint, trouble);
      const code = opening.open(given);
      if (code === null) opened.set(endpoint.text, opening);
      else failures.push({ endpoint: endpoint.text, code });
    }
    return { opened, failures };
  }

  /** The plan has come into force: gives every VIP of it its acceptor, and closes the others. */
  settle(plan: Plan, before: Plan | undefined, { opened }: Openings): void {
    const wanted = new Map(plan.vips.map((vip, index) => [vip.endpoint.text, { ...vip, index }]));
    for (const [text, existing] of [...this.acceptors]) {
      const vip = wanted.get(text);
      if (vip !== undefined && staysWith(existing, plan.applications[vip.application]!, before)) {
        existing.place.vip = vip.index;
        existing.place.application = vip.application;
        continue;
      }
      this.acceptors.delete(text);
      // The flows that came by it end with it, also where another application has the VIP now; clients that wait in its queue are the new one's.
      if (vip === undefined) existing.close();
      else {
        const acceptor = new Acceptor(this.context, vip.endpoint, vip.index, vip.application, this.trouble);
        existing.handTo(acceptor);
        this.acceptors.set(text, acceptor);
      }
      orphan(existing, plan, before);
    }
    for (const [text, opening] of opened) {
      const { endpoint, index, application } = wanted.get(text)!;
      const acceptor = new Acceptor(this.context, endpoint, index, application, this.trouble);
      this.acceptors.set(text, acceptor);
      opening.handTo(acceptor);
    }
  }

  /** `handedOver`: another process accepts from these sockets now. */
  close(handedOver = false): void {
    for (const acceptor of this.acceptors.values()) acceptor.close(handedOver);
  }
}

/** Whether the VIP stays with the acceptor that it has: another application, or another mode, begins with an acceptor of its own. */
function staysWith(existing: Acceptor, application: PlannedApplication, before: Plan | undefined): boolean {
  const was = before?.applications[existing.place.application];
  return was !== undefined && was.name === application.name && was.mode === application.mode;
}

/** The VIP is gone from under its flows; their application, where it still exists, closes their accounts. */
function orphan({ place }: Acceptor, plan: Plan, before: Plan | undefined): void {
  const name = before?.applications[place.application]?.name;
  place.vip = -1;
  place.application = plan.applications.findIndex((application) => application.name === name);
}
