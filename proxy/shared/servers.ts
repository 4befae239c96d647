/**
 * Servers as every thread sees them. A server is one address in one pool; it keeps its row, and with it health and counts, through
 * changes of policy and pool. The main thread hands out rows; active checks write `up`, the workers write failures and ejections.
 */
import { DIAL_RESULTS, type DialResult } from '../observe/view.ts';
import { Slices } from './slices.ts';

/** Rows; more servers than this in one file are refused. */
export const SERVERS_MAX = 8_192;

const WORDS = 4;
const DOWN = 0;
const FAILURES = 1;
/** Seconds of the monotonic clock that all threads share (`monotonic.ts`). */
const EJECTED_UNTIL = 2;

export interface ServerTableBuffers {
  readonly states: SharedArrayBuffer;
  readonly flows: SharedArrayBuffer;
  readonly dials: SharedArrayBuffer;
}

const RESULT_SLOT = new Map<DialResult, number>(DIAL_RESULTS.map((result, i) => [result, i]));

export class ServerTable {
  readonly buffers: ServerTableBuffers;
  readonly flows: Slices;
  private readonly states: Int32Array;
  private readonly dials: Float64Array;
  private readonly workers: number;

  constructor(workers: number, buffers?: ServerTableBuffers) {
    this.workers = workers;
    this.flows = new Slices(workers, SERVERS_MAX, buffers?.flows);
    this.buffers = buffers ?? {
      states: new SharedArrayBuffer(SERVERS_MAX * WORDS * 4),
      flows: this.flows.buffer,
      dials: new SharedArrayBuffer(workers * SERVERS_MAX * DIAL_RESULTS.length * 8),
    };
    this.states = new Int32Array(this.buffers.states);
    this.dials = new Float64Array(this.buffers.dials);
  }

  /** hot: what the active checks say. */
  up(server: number): boolean {
    return Atomics.load(this.states, server * WORDS + DOWN) === 0;
  }

  setUp(server: number, up: boolean): void {
    Atomics.store(this.states, server * WORDS + DOWN, up ? 0 : 1);
  }

  /** hot: until when it is ejected, in the milliseconds that all threads share; 0 when it never was. */
  ejectedUntil(server: number): number {
    return Atomics.load(this.states, server * WORDS + EJECTED_UNTIL) * 1000;
  }

  /** One more failure in a row. Ejects at `threshold` and answers whether it did. */
  failed(server: number, threshold: number, untilMs: number): boolean {
    if (Atomics.add(this.states, server * WORDS + FAILURES, 1) + 1 < threshold) return false;
    Atomics.store(this.states, server * WORDS + FAILURES, 0);
    Atomics.store(this.states, server * WORDS + EJECTED_UNTIL, Math.ceil(untilMs / 1000));
    return true;
  }

  /** hot: it answered; failures start from 0 again. */
  succeeded(server: number): void {
    const at = server * WORDS + FAILURES;
    if (this.states[at] !== 0) Atomics.store(this.states, at, 0);
  }

  /** Its ejection ends before its time: that which has this end, and none that has come since. */
  readmit(server: number, untilMs: number): void {
    Atomics.compareExchange(this.states, server * WORDS + EJECTED_UNTIL, Math.ceil(untilMs / 1000), 0);
  }

  /** hot: counts a dial in the worker's own row. */
  dialled(worker: number, server: number, result: DialResult): void {
    const at = (worker * SERVERS_MAX + server) * DIAL_RESULTS.length + RESULT_SLOT.get(result)!;
    this.dials[at] = this.dials[at]! + 1;
  }

  dialsOf(server: number): Record<DialResult, number> {
    const sums = Object.fromEntries(DIAL_RESULTS.map((result) => [result, 0])) as Record<DialResult, number>;
    for (let worker = 0; worker < this.workers; worker++)
      DIAL_RESULTS.forEach((result, i) => {
        sums[result] += this.dials[(worker * SERVERS_MAX + server) * DIAL_RESULTS.length + i]!;
      });
    return sums;
  }

  /** A row changes hands. */
  clear(server: number): void {
    this.states.fill(0, server * WORDS, (server + 1) * WORDS);
    for (let worker = 0; worker < this.workers; worker++) {
      const at = (worker * SERVERS_MAX + server) * DIAL_RESULTS.length;
      this.dials.fill(0, at, at + DIAL_RESULTS.length);
    }
  }
}
