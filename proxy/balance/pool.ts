/**
 * A pool as one worker sees it: which server takes the next flow, and what is kept for it between flows.
 * A server that is down, drained, of weight 0 or ejected takes none.
 */
import type { PlannedPool, PlannedServer } from '../node/plan.ts';
import type { ServerTable } from '../shared/servers.ts';
import { hashWords } from './maglev.ts';

export interface Candidate {
  readonly server: PlannedServer;
  /** `pool/address`, as journal and labels name it. */
  readonly label: string;
  /** Of smooth weighted round-robin. */
  current: number;
  /**
   * The end of the ejection during which a flow was sent to it for want of another server, while what became of that is not known yet; 0 where none
   * was.
   */
  onTrial: number;
}

/** Words of a source address; pools that hash look at them. */
export type SourceWords = readonly [number, number, number, number];

/** Retries that are always allowed within a window, so that a quiet pool can retry at all. */
const RETRIES_FREE = 3;
const RETRY_WINDOW_MS = 10_000;

export class PoolBalancer {
  readonly plan: PlannedPool;
  readonly candidates: readonly Candidate[];
  private readonly table: ServerTable;
  private readonly maglev: Uint16Array | null;
  private readonly random: () => number;
  private windowStart = 0;
  private dials = 0;
  private retries = 0;

  constructor(plan: PlannedPool, table: ServerTable, random: () => number) {
    this.plan = plan;
    this.table = table;
    this.random = random;
    this.maglev = plan.maglev === null ? null : new Uint16Array(plan.maglev);
    this.candidates = plan.servers.map((server) => ({ server, label: `${plan.name}/${server.text}`, current: 0, onTrial: 0 }));
  }

  /**
   * hot: the server for a flow from `source`, at a moment that all threads share; null when none takes flows. `except` has the rows that this flow has tried already; they are
   * chosen again only where nothing else is left.
   */
  pick(source: SourceWords, now: number, except: readonly number[] | null): Candidate | null {
    return (
      this.choose(source, now, except, true) ??
      this.chooseEjected(source, now, except) ??
      (except === null || except.length === 0 ? null : this.pick(source, now, null))
    );
  }

  /**
   * Goes on where the pool of the policy before has left off: each server keeps its turn, and dials count on for the retry budget. Without
   * this, each change of policy would begin with the first server again.
   */
  continueFrom({ candidates, windowStart, dials, retries }: PoolBalancer): void {
    this.windowStart = windowStart;
    this.dials = dials;
    this.retries = retries;
    const were = new Map(candidates.map((candidate) => [candidate.label, candidate.current]));
    // No turn is further away than the weights of all others, also where servers have left or have other weights now.
    const total = this.candidates.reduce((sum, { server }) => sum + server.weight, 0);
    for (const candidate of this.candidates) {
      const most = total - candidate.server.weight;
      candidate.current = Math.max(-most, Math.min(most, were.get(candidate.label) ?? 0));
    }
  }

  /** A server failed a flow at a moment that all threads share: dial refused, or no answer. */
  failed(candidate: Candidate, now: number): boolean {
    const ejection = this.plan.ejection;
    if (ejection === null) return false;
    const isEjected = this.table.failed(candidate.server.row, ejection.failures, now + ejection.forMs);
    // What began before says nothing of how it does now.
    if (isEjected) candidate.onTrial = 0;
    return isEjected;
  }

  /** hot */
  succeeded(candidate: Candidate): void {
    this.table.succeeded(candidate.server.row);
    if (candidate.onTrial !== 0) {
      this.table.readmit(candidate.server.row, candidate.onTrial);
      candidate.onTrial = 0;
    }
  }

  /** hot: counts a first dial. */
  counted(nowMs: number): void {
    if (nowMs - this.windowStart > RETRY_WINDOW_MS) {
      this.windowStart = nowMs;
      this.dials >>= 1;
      this.retries >>= 1;
    }
    this.dials++;
  }

  /** Whether one more retry is within the budget; counts it if so. */
  mayRetry(nowMs: number): boolean {
    if (nowMs - this.windowStart > RETRY_WINDOW_MS) {
      this.windowStart = nowMs;
      this.dials >>= 1;
      this.retries >>= 1;
    }
    if (this.retries >= Math.max(RETRIES_FREE, this.plan.retries.budget * this.dials)) return false;
    this.retries++;
    return true;
  }

  /** Every server up by its checks is ejected: sending flows to them beats sending none. The first that succeeds shows that its server is back. */
  private chooseEjected(source: SourceWords, now: number, except: readonly number[] | null): Candidate | null {
    const candidate = this.choose(source, now, except, false);
    if (candidate !== null) candidate.onTrial = this.table.ejectedUntil(candidate.server.row);
    return candidate;
  }

  private choose(source: SourceWords, now: number, except: readonly number[] | null, heedEjection: boolean): Candidate | null {
    switch (this.plan.balance) {
      case 'round-robin':
        return this.roundRobin(now, except, heedEjection);
      case 'least-connections':
        return this.leastConnections(now, except, heedEjection);
      case 'random-two':
        return this.randomTwo(now, except, heedEjection);
      case 'source-hash':
      case 'maglev':
        return this.hashed(source, now, except, heedEjection);
      default:
        return this.plan.balance satisfies never;
    }
  }

  private takes(candidate: Candidate, now: number, except: readonly number[] | null, heedEjection: boolean): boolean {
    const { row, weight } = candidate.server;
    if (weight === 0 || !this.table.up(row)) return false;
    if (heedEjection && this.table.ejectedUntil(row) > now) return false;
    return except === null || !except.includes(row);
  }

  /** Smooth weighted round-robin: weights 5,1,1 give a a b a c a a, not five in a row. */
  private roundRobin(now: number, except: readonly number[] | null, heed: boolean): Candidate | null {
    let best: Candidate | null = null;
    let total = 0;
    for (const candidate of this.candidates) {
      if (!this.takes(candidate, now, except, heed)) continue;
      total += candidate.server.weight;
      candidate.current += candidate.server.weight;
      if (best === null || candidate.current > best.current) best = candidate;
    }
    if (best !== null) best.current -= total;
    return best;
  }

  private leastConnections(now: number, except: readonly number[] | null, heed: boolean): Candidate | null {
    let best: Candidate | null = null;
    let load = Number.POSITIVE_INFINITY;
    // From a random place on, so that ties (all idle) don't all go to the first.
    const count = this.candidates.length;
    const start = Math.floor(this.random() * count);
    for (let i = 0; i < count; i++) {
      const candidate = this.candidates[(start + i) % count]!;
      if (!this.takes(candidate, now, except, heed)) continue;
      const its = this.load(candidate);
      if (its < load) {
        best = candidate;
        load = its;
      }
    }
    return best;
  }

  /** The less loaded of two at random (Mitzenmacher 2001): near the best, without looking at all. */
  private randomTwo(now: number, except: readonly number[] | null, heed: boolean): Candidate | null {
    let fit = 0;
    for (const candidate of this.candidates) if (this.takes(candidate, now, except, heed)) fit++;
    if (fit === 0) return null;
    const first = Math.floor(this.random() * fit);
    const second = fit === 1 ? first : (first + 1 + Math.floor(this.random() * (fit - 1))) % fit;
    let one: Candidate | null = null;
    let two: Candidate | null = null;
    let place = 0;
    for (const candidate of this.candidates) {
      // A check may have changed its mind since the count: whichever of the two is still there is taken.
      if (!this.takes(candidate, now, except, heed)) continue;
      if (place === first) one = candidate;
      else if (place === second) two = candidate;
      place++;
    }
    if (one === null || two === null) return one ?? two;
    return this.load(one) <= this.load(two) ? one : two;
  }

  private hashed(source: SourceWords, now: number, except: readonly number[] | null, heed: boolean): Candidate | null {
    const table = this.maglev;
    if (table === null) return null;
    const [a, b, c, d] = source;
    // A server that takes nothing hands its sources on: each to the next choice of its own, so they spread.
    for (let attempt = 0; attempt < 32; attempt++) {
      const candidate = this.candidates[table[hashWords(a, b, c, d, attempt) % table.length]!]!;
      if (this.takes(candidate, now, except, heed)) return candidate;
    }
    // Hardly any server takes flows: from a place of the source's own on, so that those few share what comes.
    const count = this.candidates.length;
    const start = hashWords(a, b, c, d, 32) % count;
    for (let i = 0; i < count; i++) {
      const candidate = this.candidates[(start + i) % count]!;
      if (this.takes(candidate, now, except, heed)) return candidate;
    }
    return null;
  }

  private load(candidate: Candidate): number {
    return (this.table.flows.total(candidate.server.row) + 1) / candidate.server.weight;
  }
}
