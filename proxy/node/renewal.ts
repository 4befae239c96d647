/**
 * What makes a policy change though its document stays: rules whose time comes or goes, and sources that are learnt (databases, names). Says
 * when it is time; the node then compiles and swaps. Each change is told once, so that a renewal that has failed is tried again until it has come about.
 */
import type { Document } from '../../config/document.ts';
import { compile } from '../../policy/compile.ts';
import type { Image } from '../../policy/image.ts';
import { unresolvedOf } from '../../policy/knowledge.ts';
import { imageAt } from '../../policy/moment.ts';
import { nextChange } from '../../policy/schedule.ts';
import type { Logger } from '../observe/log.ts';
import type { NameTimes } from '../sources/names.ts';
import { Sources } from '../sources/sources.ts';
import { unknownOf } from '../sources/unknown.ts';
import { type Resolved, ServerNames } from './server-names.ts';

/** Schedules are looked at this often at least: clocks may be set, and a timer doesn't notice. */
const SCHEDULE_MS_MAX = 30_000;
/** Soon for a rule whose time is over, and little work for a node that is short of memory or descriptors. */
const RETRY_MS_DEFAULT = 5_000;

export type Why = 'schedule' | 'sources' | 'certificates';

export interface RenewalTimes {
  /** How long answers of name servers hold; absent: as their TTL says, within the usual bounds. */
  readonly names?: NameTimes;
  /** After which a renewal that has failed is tried again. */
  readonly retryMs?: number;
}

export class Renewal {
  private readonly log: Logger;
  private readonly renew: (why: Why) => Promise<void>;
  private readonly failed = new Map<Why, { readonly error: string; readonly timer: NodeJS.Timeout }>();
  private sources: Sources | null = null;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  /** In force. */
  private document: Document | null = null;

  private readonly names: ServerNames;
  private readonly times: RenewalTimes;

  /** `renew` compiles what is in force again; rejects where it does not come into force. `isBusy`: whether a server carries flows. */
  constructor(
    log: Logger,
    renew: (why: Why) => Promise<void>,
    isBusy: (pool: string, server: string) => boolean,
    times: RenewalTimes = {},
  ) {
    this.log = log;
    this.renew = renew;
    this.names = new ServerNames(log, isBusy, this.faultOf);
    this.times = times;
  }

  /** Something has changed of which the policy in force is made. */
  due(why: Why): void {
    this.renew(why).then(
      () => this.renewed(why),
      (error: unknown) => this.notRenewed(why, String(error)),
    );
  }

  private renewed(why: Why): void {
    clearTimeout(this.failed.get(why)?.timer);
    if (this.failed.delete(why)) this.log.info({ why }, 'the policy could be renewed after all');
  }

  private notRenewed(why: Why, error: string): void {
    if (this.stopped) return;
    const before = this.failed.get(why);
    clearTimeout(before?.timer);
    if (error !== before?.error) this.log.error({ why, error }, 'the policy could not be renewed; it is tried again');
    const timer = setTimeout(() => this.due(why), this.times.retryMs ?? RETRY_MS_DEFAULT).unref();
    this.failed.set(why, { error, timer });
  }

  /** Learns what a document asks of databases and names. Answers why it cannot be applied; empty where it can. */
  learn(document: Document): Promise<string[]> {
    // Databases and name servers are those of the first document: `process` is read once.
    this.sources ??= new Sources(
      document.process,
      {
        changed: () => this.due('sources'),
        trouble: (what, message) => this.log.warn({ what, message }, this.lossOf(what)),
        recovered: (what) => this.log.info({ what }, 'is looked up again'),
      },
      this.times.names,
    );
    return this.sources.want(document);
  }

  /** What is not known of a document that was learnt, a line each. */
  unknownOf(document: Document): string[] {
    return this.sources === null ? [] : unknownOf(document, this.sources);
  }

  /** The policy of a document as of now. */
  compile(document: Document): Image {
    return compile(document, { now: Date.now(), knowledge: this.sources?.knowledge() });
  }

  /** A document with every server that is known now. */
  resolve(document: Document): Resolved {
    return this.names.resolve(document, this.sources?.knowledge().names ?? new Map());
  }

  /** A policy has come into force: from here on its sources are watched, and its next change is waited for. */
  watch(document: Document, resolved: Resolved, image: Image): void {
    this.sources?.settle(document);
    this.names.settle(resolved, document !== this.document);
    this.document = document;
    for (const { segment, what, closes } of this.sources === null ? [] : unresolvedOf(document, this.sources.knowledge()))
      this.log.warn({ segment, what, closes }, 'a part of a segment is not known');
    this.arm(document, image);
  }

  /** Why a host that the document names has no address, or why its last lookup failed: the code of the resolver; null where neither is so. */
  readonly faultOf = (host: string): string | null => this.sources?.faultOf(host) ?? null;

  /** What the trouble with a name or a database comes to. */
  private lossOf(what: string): string {
    const isName = this.faultOf(what) !== null;
    const addresses = this.sources?.knowledge().names.get(what) ?? [];
    return isName && addresses.length === 0
      ? 'cannot be looked up: the name has no address'
      : 'cannot be looked up; the last good answer stays';
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    for (const { timer } of this.failed.values()) clearTimeout(timer);
    this.sources?.stop();
  }

  /** Nothing is armed for a document whose rules always hold. */
  private arm(document: Document, image: Image): void {
    clearTimeout(this.timer);
    if (this.stopped || !image.hasPeriods) return;
    const now = Date.now();
    const next = nextChange(document, now) ?? Number.POSITIVE_INFINITY;
    const look = () => {
      if (imageAt(image, Date.now()) !== image) this.due('schedule');
      // Whatever becomes of the renewal: one that comes about sets the time anew.
      this.arm(document, image);
    };
    this.timer = setTimeout(look, Math.min(next - now, SCHEDULE_MS_MAX)).unref();
  }
}
