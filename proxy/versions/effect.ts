/** What a document would do, before it does: to the flows that are live, and as it would have done to those of the last hour. */
import type { Document, Rule } from '../../config/document.ts';
import type { OnRevoke } from '../../config/match.ts';
import type { Image } from '../../policy/image.ts';
import { type KnownFlow, type Replayed, replay } from '../../policy/replay.ts';
import type { FlowRecord } from '../observe/view.ts';

/** Receipts named for one group; its count stays exact. */
const RECEIPTS_MAX = 1_000;
const GROUPS_MAX = 200;
/** Flows decided before other work of the thread gets its turn: about a millisecond. */
const SLICE = 256;

/** Flows that the same rule decides for the same source in the same application. */
export interface EffectGroup {
  readonly application: string;
  readonly source: string;
  /** The rule that decides now; `default` for none. */
  readonly rule: string;
  readonly tier: string;
  readonly at: string | null;
  /** The rule that decided when the flow came. */
  readonly was: string | null;
  readonly count: number;
  readonly receipts: readonly string[];
}

export interface Effect {
  readonly live: {
    readonly flows: number;
    readonly cut: number;
    /** No longer allowed, and left some time to end. */
    readonly draining: number;
    readonly kept: number;
    /** The verdict depends on what is not known of them yet. */
    readonly undecided: number;
    /** Of those that would be cut. */
    readonly groups: readonly EffectGroup[];
    readonly drainingGroups: readonly EffectGroup[];
    /** Not every live flow was looked at. */
    readonly truncated: boolean;
  };
  readonly recent: {
    /** ISO 8601: the oldest flow that was looked at. */
    readonly since: string | null;
    readonly flows: number;
    readonly denied: number;
    readonly groups: readonly EffectGroup[];
    readonly allowed: number;
    readonly allowedGroups: readonly EffectGroup[];
    /** The journal holds more of the hour than was looked at. */
    readonly truncated: boolean;
  };
  /** What the numbers do not know. */
  readonly notes: readonly string[];
}

export interface Observed {
  readonly live: readonly FlowRecord[];
  readonly liveTruncated: boolean;
  /** Newest first. */
  readonly recent: readonly FlowRecord[];
  readonly recentTruncated: boolean;
}

/** Puts what was observed to a policy. `now` is the document in force, `next` the one that the image was made of. */
export async function effectOf(image: Image, now: Document, next: Document, observed: Observed): Promise<Effect> {
  const judged = new Judge(image, now, next);
  const cut = new Groups();
  const draining = new Groups();
  let undecided = 0;
  for (const [index, flow] of observed.live.entries()) {
    if (index % SLICE === SLICE - 1) await turn();
    const replayed = judged.flow(flow, null);
    if (replayed.verdict === 'unknown') undecided++;
    else if (replayed.verdict === 'deny') (judged.endsAtOnce(flow, replayed) ? cut : draining).add(flow, replayed);
  }
  const denied = new Groups();
  const allowed = new Groups();
  let since: string | null = null;
  for (const [index, flow] of observed.recent.entries()) {
    if (index % SLICE === SLICE - 1) await turn();
    since = flow.time;
    if (flow.verdict === null) continue;
    const replayed = judged.flow(flow, Date.parse(flow.time));
    if (replayed.verdict === 'deny' && flow.verdict !== 'deny') denied.add(flow, replayed);
    if (replayed.verdict === 'allow' && flow.verdict === 'deny') allowed.add(flow, replayed);
  }
  return {
    live: {
      flows: observed.live.length,
      cut: cut.count,
      draining: draining.count,
      kept: observed.live.length - cut.count - draining.count,
      undecided,
      groups: cut.largest(),
      drainingGroups: draining.largest(),
      truncated: observed.liveTruncated,
    },
    recent: {
      since,
      flows: observed.recent.length,
      denied: denied.count,
      groups: denied.largest(),
      allowed: allowed.count,
      allowedGroups: allowed.largest(),
      truncated: observed.recentTruncated,
    },
    notes: notesOn(next, observed),
  };
}

class Judge {
  readonly #image: Image;
  readonly #now: Document;
  readonly #document: Document;
  readonly #modesNow: ReadonlyMap<string, string>;
  readonly #next: ReadonlyMap<string, { mode: string; observes: boolean }>;

  constructor(image: Image, now: Document, next: Document) {
    this.#image = image;
    this.#now = now;
    this.#document = next;
    this.#modesNow = new Map(now.applications.map(({ name, mode }) => [name, mode]));
    this.#next = new Map(next.applications.map(({ name, mode, enforcement }) => [name, { mode, observes: enforcement === 'observe' }]));
  }

  /** As the workers decide it: an application that observes lets through, and one that changes its mode starts anew. */
  flow(flow: FlowRecord & KnownFlow, atMs: number | null): Replayed {
    const replayed = replay(this.#image, flow, atMs);
    const application = this.#next.get(flow.application);
    const was = this.#modesNow.get(flow.application);
    if (application !== undefined && was !== undefined && was !== application.mode) return { ...replayed, verdict: 'deny' };
    const moved = replayed.application !== flow.application;
    if (replayed.verdict === 'deny' && application?.observes === true && !moved) return { ...replayed, verdict: 'allow' };
    return replayed;
  }

  /** As the workers end it: by the rule that denies it now, or by the one that admitted it where none does. */
  endsAtOnce(flow: FlowRecord, { application, tier, rule }: Replayed): boolean {
    const sameMode = this.#modesNow.get(flow.application) === this.#next.get(flow.application)?.mode;
    if (application !== flow.application || !sameMode || flow.server === null) return true;
    const said =
      tier === 'default'
        ? onRevokeOf(this.#now, flow.application, flow.tier, flow.rule)
        : onRevokeOf(this.#document, flow.application, tier, rule);
    return said === null || said.kind === 'cut';
  }
}

/** What a rule says of the flows that it ends; null where it says nothing, or where nobody wrote it. */
function onRevokeOf(document: Document, application: string, tier: string | null, rule: string | null): OnRevoke | null {
  const lists: Readonly<Record<string, readonly Rule[] | undefined>> = {
    guardrail: document.guardrails,
    application: document.applications.find(({ name }) => name === application)?.rules,
    baseline: document.baseline,
  };
  return lists[tier ?? '']?.find(({ name }) => name === rule)?.onRevoke ?? null;
}

class Groups {
  count = 0;
  readonly #groups = new Map<string, { group: Omit<EffectGroup, 'count' | 'receipts'>; count: number; receipts: string[] }>();

  add(flow: FlowRecord, { rule, tier, at }: Replayed): void {
    this.count++;
    const source = flow.source.replace(/:[0-9]+$/, '');
    const key = JSON.stringify([flow.application, source, rule, tier, flow.rule]);
    let entry = this.#groups.get(key);
    if (entry === undefined) {
      entry = { group: { application: flow.application, source, rule, tier, at, was: flow.rule }, count: 0, receipts: [] };
      this.#groups.set(key, entry);
    }
    entry.count++;
    if (entry.receipts.length < RECEIPTS_MAX) entry.receipts.push(flow.receipt);
  }

  largest(): EffectGroup[] {
    return [...this.#groups.values()]
      .sort((a, b) => b.count - a.count)
      .slice(0, GROUPS_MAX)
      .map(({ group, count, receipts }) => ({ ...group, count, receipts }));
  }
}

function notesOn(next: Document, { liveTruncated, recentTruncated }: Observed): string[] {
  const rules = [...next.guardrails, ...next.baseline, ...next.applications.flatMap((application) => application.rules)];
  const byHeader = rules.filter((rule) => rule.http?.headers !== null && rule.http?.headers !== undefined);
  const names = byHeader.slice(0, 3).map((rule) => rule.name);
  return [
    ...(liveTruncated ? ['There are more live flows than were looked at.'] : []),
    ...(recentTruncated ? ['The journal holds more of the last hour than was looked at.'] : []),
    ...(byHeader.length > 0
      ? [`Header fields are not kept of a flow, so requests are judged as without them by rules that ask for some (${names.join(', ')}).`]
      : []),
  ];
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
