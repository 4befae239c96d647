/**
 * What has been spent of the limits of rules, exact over workers: for each rule, and each source or segment that it counts for, the flows that
 * are live and the buckets of its rates. An entry is read and changed under the lock of its row, so that a flow is refused only where there
 * really is no room, and two that race never both take the last place.
 *
 * Each worker counts its flows apart from the others', so that one that dies takes nothing along: its counts and locks are cleared. An entry
 * that holds no flow and whose buckets are full says nothing, and gives way to another. Where all of a row say something, the answer to a new
 * one is the strict one: there is no room.
 */
import type { Rate, RuleLimits } from '../../config/document.ts';
import { charge, FULL, REFUSED, take, waitMs, withRate } from '../../policy/limits.ts';

/** Entries of a node: sources (or segments) that are held to limits at one time. 72 bytes each and 4 a worker: 5 MB. */
export const LIMIT_ENTRIES_MAX = 65_536;
const ROW_SLOTS = 16;
const ROWS = LIMIT_ENTRIES_MAX / ROW_SLOTS;
const KEY_WORDS = 5;
/** Of each rate: the bucket, and the period of the rate that it was written for. */
const RATE_NUMBERS = 2;
const NUMBERS = 3 * RATE_NUMBERS;
const NEW_FLOWS = 0;
const REQUESTS = RATE_NUMBERS;
const BYTES = 2 * RATE_NUMBERS;

/** A lock is held for less than a microsecond, but its holder may lose its core. */
const LOCK_TRIES = 200;
const LOCK_NAPS = 50;
const LOCK_NAP_MS = 1;

/** What a claim comes to where it is refused; otherwise it is the number of the entry. */
export const NO_ENTRY = -1;
export const OVER_FLOWS = -2;
export const OVER_NEW_FLOWS = -3;
export const OVER_REQUESTS = -4;

/** What is counted: for rules that say nothing of it, null. */
export type Claimed = Pick<RuleLimits, 'flows' | 'newFlows' | 'requests'>;

export class LimitTable {
  readonly buffer: SharedArrayBuffer;
  /** After a refusal: how long until there may be room; 0 where only the end of a flow makes some. */
  retryMs = 0;
  private readonly numbers: Float64Array;
  private readonly locks: Int32Array;
  private readonly keys: Int32Array;
  private readonly flows: Int32Array;

  /** `buffer` from another thread's table of as many workers; absent to make one. */
  constructor(workers: number, buffer?: SharedArrayBuffer) {
    const numbers = LIMIT_ENTRIES_MAX * NUMBERS * Float64Array.BYTES_PER_ELEMENT;
    const words = ROWS + LIMIT_ENTRIES_MAX * (KEY_WORDS + workers);
    this.buffer = buffer ?? new SharedArrayBuffer(numbers + words * Int32Array.BYTES_PER_ELEMENT);
    this.numbers = new Float64Array(this.buffer, 0, LIMIT_ENTRIES_MAX * NUMBERS);
    this.locks = new Int32Array(this.buffer, numbers, ROWS);
    this.keys = new Int32Array(this.buffer, numbers + ROWS * 4, LIMIT_ENTRIES_MAX * KEY_WORDS);
    this.flows = new Int32Array(this.buffer, numbers + (ROWS + LIMIT_ENTRIES_MAX * KEY_WORDS) * 4, LIMIT_ENTRIES_MAX * workers);
  }

  /**
   * One more flow of a rule (`id`, from 1) for a source. Answers its entry, which stays the flow's until `release`; or why there is no room.
   * `enforced` false counts the flow whether there is room or not: it is live already. `now` is in milliseconds that all threads share.
   */
  claim(worker: number, id: number, source: readonly number[], limits: Claimed, now: number, enforced: boolean): number {
    this.retryMs = 0;
    const row = rowOf(id, source);
    if (!this.lock(worker, row)) return NO_ENTRY;
    const entry = this.enter(row, id, source, now);
    let outcome = entry;
    if (entry >= 0) {
      if (enforced) outcome = this.spend(entry, limits, now);
      if (outcome === entry) this.flows[worker * LIMIT_ENTRIES_MAX + entry]!++;
    }
    this.unlock(row);
    return outcome;
  }

  /** Takes a claim back that was made at the same moment, tokens and all. */
  undo(worker: number, entry: number, limits: Claimed, now: number): void {
    const row = Math.floor(entry / ROW_SLOTS);
    if (this.lock(worker, row)) {
      this.giveBack(entry, NEW_FLOWS, limits.newFlows, now);
      this.giveBack(entry, REQUESTS, limits.requests, now);
      this.unlock(row);
    }
    this.release(worker, entry);
  }

  /** hot: the flow is over. */
  release(worker: number, entry: number): void {
    Atomics.sub(this.flows, worker * LIMIT_ENTRIES_MAX + entry, 1);
  }

  /**
   * Bytes that were read for a flow of the entry. Answers how long no more may be read, in milliseconds; -1 where they could not be counted
   * now and are to be counted with the next.
   */
  chargeBytes(worker: number, entry: number, bytes: number, rate: Rate, now: number): number {
    const row = Math.floor(entry / ROW_SLOTS);
    if (!this.lock(worker, row)) return -1;
    const bucket = charge(this.bucket(entry, BYTES, rate, now), now, bytes, rate);
    this.keep(entry, BYTES, bucket, rate);
    this.unlock(row);
    return waitMs(bucket, now, 0, rate);
  }

  /** Live flows of an entry, over all workers. */
  flowsOf(entry: number): number {
    let sum = 0;
    for (let at = entry; at < this.flows.length; at += LIMIT_ENTRIES_MAX) sum += Atomics.load(this.flows, at);
    return sum;
  }

  /** The worker is gone, and all that it held. */
  clear(worker: number): void {
    this.flows.fill(0, worker * LIMIT_ENTRIES_MAX, (worker + 1) * LIMIT_ENTRIES_MAX);
    for (let row = 0; row < ROWS; row++) Atomics.compareExchange(this.locks, row, worker + 1, 0);
  }

  /** Checks all, then takes all: a flow that is refused has spent nothing. Answers the entry, or the limit that has no room. */
  private spend(entry: number, limits: Claimed, now: number): number {
    if (limits.flows !== null && this.flowsOf(entry) >= limits.flows) return OVER_FLOWS;
    const newFlows = this.taken(entry, NEW_FLOWS, limits.newFlows, now);
    if (newFlows === REFUSED) return OVER_NEW_FLOWS;
    const requests = this.taken(entry, REQUESTS, limits.requests, now);
    if (requests === REFUSED) return OVER_REQUESTS;
    if (limits.newFlows !== null) this.keep(entry, NEW_FLOWS, newFlows, limits.newFlows);
    if (limits.requests !== null) this.keep(entry, REQUESTS, requests, limits.requests);
    return entry;
  }

  private taken(entry: number, which: number, rate: Rate | null, now: number): number {
    if (rate === null) return FULL;
    const bucket = this.bucket(entry, which, rate, now);
    const after = take(bucket, now, 1, rate);
    if (after === REFUSED) this.retryMs = waitMs(bucket, now, 1, rate);
    return after;
  }

  private giveBack(entry: number, which: number, rate: Rate | null, now: number): void {
    if (rate === null) return;
    this.keep(entry, which, this.bucket(entry, which, rate, now) - rate.perMs / rate.amount, rate);
  }

  /** A bucket as the rate of now understands it: what was spent of another rate stays spent. */
  private bucket(entry: number, which: number, rate: Rate, now: number): number {
    const at = entry * NUMBERS + which;
    const perMs = this.numbers[at + 1]!;
    const bucket = this.numbers[at]!;
    return perMs === rate.perMs || perMs === 0 ? bucket : withRate(bucket, now, { amount: 1, perMs }, rate);
  }

  private keep(entry: number, which: number, bucket: number, rate: Rate): void {
    const at = entry * NUMBERS + which;
    this.numbers[at] = bucket;
    this.numbers[at + 1] = rate.perMs;
  }

  /** The entry of a key: its own, or one that says nothing any more; NO_ENTRY where there is none. Under the lock. */
  private enter(row: number, id: number, source: readonly number[], now: number): number {
    const { keys } = this;
    const first = row * ROW_SLOTS;
    let free = NO_ENTRY;
    for (let entry = first; entry < first + ROW_SLOTS; entry++) {
      const at = entry * KEY_WORDS;
      if (keys[at] === id) {
        let word = 0;
        while (word < 4 && keys[at + 1 + word] === (source[word]! | 0)) word++;
        if (word === 4) return entry;
      }
      if (free < 0 && (keys[at] === 0 || this.isIdle(entry, now))) free = entry;
    }
    if (free < 0) return NO_ENTRY;
    const at = free * KEY_WORDS;
    keys[at] = id;
    for (let word = 0; word < 4; word++) keys[at + 1 + word] = source[word]!;
    this.numbers.fill(0, free * NUMBERS, (free + 1) * NUMBERS);
    return free;
  }

  private isIdle(entry: number, now: number): boolean {
    const at = entry * NUMBERS;
    const { numbers } = this;
    return numbers[at + NEW_FLOWS]! <= now && numbers[at + REQUESTS]! <= now && numbers[at + BYTES]! <= now && this.flowsOf(entry) === 0;
  }

  private lock(worker: number, row: number): boolean {
    const { locks } = this;
    for (let tries = 0; tries < LOCK_TRIES; tries++) if (Atomics.compareExchange(locks, row, 0, worker + 1) === 0) return true;
    for (let naps = 0; naps < LOCK_NAPS; naps++) {
      Atomics.wait(locks, row, Atomics.load(locks, row) || -1, LOCK_NAP_MS);
      if (Atomics.compareExchange(locks, row, 0, worker + 1) === 0) return true;
    }
    return false;
  }

  private unlock(row: number): void {
    Atomics.store(this.locks, row, 0);
  }
}

function rowOf(id: number, source: readonly number[]): number {
  let h = Math.imul(id, 0x9e3779b1);
  for (let word = 0; word < 4; word++) h = Math.imul(h ^ source[word]! ^ (h >>> 15), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) % ROWS;
}
