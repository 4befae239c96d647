/**
 * The last ten minutes of the counters, one sample a second, in memory: what turns sums that only grow into rates, and the duration
 * histograms into quantiles of the last minute. Time is passed in; nothing here reads a clock.
 */
import { hitNodeLimit } from '../shared/node-limits.ts';
import { type Counters, DURATION_BOUNDS_SECONDS, type Histogram } from './view.ts';

export const HISTORY_SECONDS = 600;
/** Applications that get a ring of their own (36 KB each). Beyond it an application counts in the totals only. */
export const HISTORY_APPLICATIONS_MAX = 256;

const FIELDS = ['opened', 'denied', 'requests', 'errors', 'bytesIn', 'bytesOut', 'active'] as const;
type Field = (typeof FIELDS)[number];
const WIDTH = FIELDS.length;
/** Histograms are kept every ten seconds, seven deep: a little more than the minute that quantiles speak of. */
const LATENCY_STEP_SECONDS = 10;
const LATENCY_DEPTH = 7;

/** Per second, over the window asked for; `errors` are answers of class 5xx. */
export interface Rates {
  readonly opened: number;
  readonly denied: number;
  readonly requests: number;
  readonly errors: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Rates of the whole node, oldest first. A null is a moment without two samples to compare. */
export interface RateSeries {
  /** Seconds since the epoch of each point. */
  readonly times: number[];
  readonly allowed: (number | null)[];
  readonly denied: (number | null)[];
  readonly bytesIn: (number | null)[];
  readonly bytesOut: (number | null)[];
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

interface Track {
  /** Cumulative values, WIDTH a sample, in the slot of the shared ring. NaN: not sampled. */
  readonly values: Float64Array;
  latency: number[][];
}

export class History {
  readonly #times = new Float64Array(HISTORY_SECONDS).fill(Number.NaN);
  readonly #total = newTrack();
  readonly #applications = new Map<string, Track>();
  #next = 0;
  #latencyAt = Number.NEGATIVE_INFINITY;

  /** Takes one sample. Called once a second; a missed second is bridged, because rates divide by the time between samples. */
  record(counters: Counters, atMs: number): void {
    const slot = this.#next;
    const denied = new Map<string, number>();
    for (const rule of counters.rules) denied.set(rule.application, (denied.get(rule.application) ?? 0) + rule.deny);
    this.#times[slot] = atMs / 1000;
    const sums = new Array<number>(WIDTH).fill(0);
    // Also where the clock was set back.
    const keepLatency = Math.abs(atMs / 1000 - this.#latencyAt) >= LATENCY_STEP_SECONDS - 0.5;
    if (keepLatency) this.#latencyAt = atMs / 1000;
    const named = new Set(counters.applications.map((a) => a.application));
    // The ring of a removed application is dropped whole: its name may come back as something else.
    for (const name of this.#applications.keys()) if (!named.has(name)) this.#applications.delete(name);
    for (const a of counters.applications) {
      const requests = a.responses.reduce((sum, n) => sum + n, 0);
      const row = [a.flowsOpened, denied.get(a.application) ?? 0, requests, a.responses[4], a.bytesIn, a.bytesOut, a.flowsActive];
      for (let i = 0; i < WIDTH; i++) sums[i]! += row[i]!;
      const track = this.#track(a.application);
      if (track === null) continue;
      track.values.set(row, slot * WIDTH);
      if (keepLatency) track.latency = [...track.latency, [...latencyOf(a).counts]].slice(-LATENCY_DEPTH);
    }
    this.#total.values.set(sums, slot * WIDTH);
    this.#next = (slot + 1) % HISTORY_SECONDS;
  }

  /** Mean rates over the newest `seconds`; null before two samples exist. `application` null asks for the whole node. */
  rates(application: string | null, seconds: number): Rates | null {
    const track = application === null ? this.#total : this.#applications.get(application);
    if (track === undefined) return null;
    const newest = slotBefore(this.#next);
    let oldest = newest;
    for (let back = 1; back < HISTORY_SECONDS && back <= seconds; back++) {
      const slot = (newest - back + HISTORY_SECONDS) % HISTORY_SECONDS;
      if (Number.isNaN(this.#times[slot]!) || Number.isNaN(track.values[slot * WIDTH]!)) break;
      oldest = slot;
    }
    return this.#ratesBetween(track, oldest, newest);
  }

  /** Rates of the whole node in steps of `stepSeconds` samples (a divisor of HISTORY_SECONDS) over all that is held. */
  series(stepSeconds: number): RateSeries {
    const series: RateSeries = { times: [], allowed: [], denied: [], bytesIn: [], bytesOut: [] };
    const newest = slotBefore(this.#next);
    // Points stand on every n-th slot, so that a point keeps its value while the window moves on.
    const behind = newest % stepSeconds;
    for (let steps = Math.floor((HISTORY_SECONDS - 1 - behind) / stepSeconds) - 1; steps >= 0; steps--) {
      const to = (newest - behind - steps * stepSeconds + HISTORY_SECONDS) % HISTORY_SECONDS;
      const from = (to - stepSeconds + HISTORY_SECONDS) % HISTORY_SECONDS;
      const time = this.#times[to]!;
      if (Number.isNaN(time)) continue;
      const rates = this.#ratesBetween(this.#total, from, to);
      series.times.push(time);
      // In http mode a flow is one request, so opened less denied is what was let through in either mode.
      series.allowed.push(rates === null ? null : Math.max(0, rates.opened - rates.denied));
      series.denied.push(rates?.denied ?? null);
      series.bytesIn.push(rates?.bytesIn ?? null);
      series.bytesOut.push(rates?.bytesOut ?? null);
    }
    return series;
  }

  /** Quantiles in seconds of what ended in about the last minute; null where nothing did. `now` is the histogram as it stands. */
  quantiles(application: string, now: Histogram): Quantiles | null {
    const oldest = this.#applications.get(application)?.latency[0];
    const recent = now.counts.map((count, i) => Math.max(0, count - (oldest?.[i] ?? 0)));
    const p50 = quantile(recent, 0.5);
    const p99 = quantile(recent, 0.99);
    return p50 === null || p99 === null ? null : { p50, p99 };
  }

  #track(application: string): Track | null {
    let track = this.#applications.get(application);
    if (track === undefined) {
      if (this.#applications.size >= HISTORY_APPLICATIONS_MAX) {
        hitNodeLimit('history-applications');
        return null;
      }
      track = newTrack();
      this.#applications.set(application, track);
    }
    return track;
  }

  #ratesBetween(track: Track, from: number, to: number): Rates | null {
    const seconds = this.#times[to]! - this.#times[from]!;
    if (!(seconds > 0)) return null;
    const rate = (field: Field): number => {
      const i = FIELDS.indexOf(field);
      return Math.max(0, (track.values[to * WIDTH + i]! - track.values[from * WIDTH + i]!) / seconds);
    };
    const opened = rate('opened');
    if (Number.isNaN(opened)) return null;
    return {
      opened,
      denied: rate('denied'),
      requests: rate('requests'),
      errors: rate('errors'),
      bytesIn: rate('bytesIn'),
      bytesOut: rate('bytesOut'),
    };
  }
}

/** The histogram that speaks of an application's latency: requests where there are any, whole flows else. */
export function latencyOf(a: { requestDuration: Histogram; flowDuration: Histogram }): Histogram {
  return a.requestDuration.counts.some((count) => count > 0) ? a.requestDuration : a.flowDuration;
}

/**
 * A quantile from bucket counts, linear within its bucket as Prometheus's `histogram_quantile` does it. What lies beyond the last bound is
 * answered with that bound; null where nothing was counted.
 */
export function quantile(counts: readonly number[], q: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = q * total;
  for (const [i, bound] of DURATION_BOUNDS_SECONDS.entries()) {
    const count = counts[i] ?? 0;
    const lower = i === 0 ? 0 : DURATION_BOUNDS_SECONDS[i - 1]!;
    if (left <= count && count > 0) return lower + ((bound - lower) * left) / count;
    left -= count;
  }
  return DURATION_BOUNDS_SECONDS.at(-1)!;
}

/** Samples a node once a second until stopped. The timer keeps no process alive. */
export function keepHistory(view: { counters(): Counters }, history: History): { stop(): void } {
  const sample = () => history.record(view.counters(), Date.now());
  sample();
  const timer = setInterval(sample, 1000);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

function newTrack(): Track {
  return { values: new Float64Array(HISTORY_SECONDS * WIDTH).fill(Number.NaN), latency: [] };
}

function slotBefore(slot: number): number {
  return (slot - 1 + HISTORY_SECONDS) % HISTORY_SECONDS;
}
