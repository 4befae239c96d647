/**
 * Watches what a change does: the shares of denials, failed dials and 5xx after it, against those of the minutes before. Pure: samples of sums
 * that only grow go in, a verdict comes out; nothing here reads a clock.
 */
import type { Counters, ServerNameState, ServerState } from '../observe/view.ts';

/** What the shares before a change are taken over. */
const BEFORE_MS = 5 * 60_000;
/** Sampled every two seconds, a little more than that. */
const SAMPLES_MAX = 160;
/** Fewer events than this in the window say nothing: one failure of two is half, and no sign. */
export const GUARD_EVENTS_LEAST = 20;

/** How far a share may rise (0.05: by five percentage points), and for how long after the change it is watched. */
export interface GuardBounds {
  readonly rise: number;
  readonly forMs: number;
}

/** Five points are above the noise of a steady service; a minute is longer than the usual client's patience with a failed request. */
export const GUARD_DEFAULT: GuardBounds = { rise: 0.05, forMs: 60_000 };

export interface Sample {
  readonly at: number;
  readonly flows: number;
  readonly denials: number;
  readonly requests: number;
  readonly errors: number;
  readonly dials: number;
  readonly failedDials: number;
}

/** Whose the parts of a sample are, so that what rises can be named: rules, servers, applications. */
export type Shares = Readonly<Record<'denials' | 'failedDials' | 'errors', ReadonlyMap<string, number>>>;

/** `names`: dials to addresses that servers by name have left behind count on, or the sums would step back with every change of DNS. */
export function sampleOf(counters: Counters, servers: readonly ServerState[], names: readonly ServerNameState[], at: number): Sample {
  const sum = <T>(list: readonly T[], read: (item: T) => number) => list.reduce((total, item) => total + read(item), 0);
  const dials = [...servers.map((server) => server.dials), ...names.map((name) => name.goneDials)].flatMap((of) => Object.entries(of));
  return {
    at,
    flows: sum(counters.applications, (application) => application.flowsOpened),
    denials: sum(counters.rules, (rule) => rule.deny),
    requests: sum(counters.applications, (application) => sum(application.responses, (count) => count)),
    errors: sum(counters.applications, (application) => application.responses[4]),
    dials: sum(dials, ([, count]) => count),
    failedDials: sum(dials, ([result, count]) => (result === 'connected' ? 0 : count)),
  };
}

export function sharesOf(counters: Counters, servers: readonly ServerState[]): Shares {
  const failed = ({ dials }: ServerState) =>
    Object.entries(dials).reduce((sum, [result, count]) => sum + (result === 'connected' ? 0 : count), 0);
  return {
    denials: new Map(counters.rules.map(({ application, rule, deny }) => [`rule ${application}/${rule}`, deny])),
    failedDials: new Map(servers.map((server) => [`server ${server.pool}/${server.server}`, failed(server)])),
    errors: new Map(counters.applications.map(({ application, responses }) => [`application ${application}`, responses[4]])),
  };
}

/** Whose part has grown most: ", most of them of server web/10.0.0.5:80". */
export function culprit(part: keyof Shares, change: Shares, now: Shares): string {
  let most = 0;
  let whose = '';
  for (const [name, count] of now[part]) {
    const grown = count - (change[part].get(name) ?? 0);
    if (grown > most) {
      most = grown;
      whose = name;
    }
  }
  return whose === '' ? '' : `, most of them of ${whose}`;
}

/** The newest samples, for the minutes before a change that has not come yet. */
export class Samples {
  #samples: Sample[] = [];

  add(sample: Sample): void {
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** The oldest sample of the minutes before `at`; null where there is none. */
  before(at: number): Sample | null {
    return this.#samples.find((sample) => sample.at >= at - BEFORE_MS) ?? null;
  }
}

const WATCHED = [
  { name: 'denials', of: 'flows', part: 'denials', whole: 'flows' },
  { name: 'dial failures', of: 'dials', part: 'failedDials', whole: 'dials' },
  { name: '5xx answers', of: 'requests', part: 'errors', whole: 'requests' },
] as const;

export interface Harm {
  readonly part: keyof Shares;
  /** In one sentence. */
  readonly what: string;
}

/** Says which share has risen beyond the bound; null where none has. `start` null: nothing is known of the time before. */
export function judge(start: Sample | null, change: Sample, now: Sample, { rise }: GuardBounds): Harm | null {
  for (const { name, of, part, whole } of WATCHED) {
    const events = now[whole] - change[whole];
    if (events < GUARD_EVENTS_LEAST) continue;
    const share = ratio(now[part] - change[part], events);
    const before = start === null ? 0 : ratio(change[part] - start[part], change[whole] - start[whole]);
    if (share > before + rise) {
      const seconds = Math.round((now.at - change.at) / 1000);
      const what = `${name} rose from ${percent(before)} to ${percent(share)} of ${of} within ${seconds} s, by more than ${percent(rise)}`;
      return { part, what };
    }
  }
  return null;
}

/** Sums may step back when a server or a rule leaves: then there is nothing to compare. */
function ratio(part: number, whole: number): number {
  return whole <= 0 || part <= 0 ? 0 : Math.min(1, part / whole);
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}
