/** Latency that a proxy adds, at half of what the slowest of Bulkhead, HAProxy and nginx can carry, against going to the backend directly. */
import { type Arena, interleave, type LoadResult, messageOf, runLoad } from '../arena.ts';
import { DIRECT } from '../compare.ts';
import { Findings, type Measure } from '../findings.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { summarise } from '../statistics.ts';
import { wrk } from './http.ts';

const CONNECTIONS = 64;
/** Above this the load generator itself queues on its core, and what it measures is no longer the proxy. */
const RATE_MAX = 20_000;
/** The rate is set by those that are meant to be compared; the others may be overloaded by it, and then that is said. */
const RATE_SETTERS = ['bulkhead', 'haproxy', 'nginx'];
const CALIBRATION_SECONDS = 1;
/** A proxy that answers less than this share of what arrives is overloaded. */
const CARRIED_SHARE_MIN = 0.95;

interface PaceResult extends LoadResult {
  readonly p50: number;
  readonly p99: number;
  readonly rate: number;
}

export async function latency(arena: Arena, peers: readonly RunningPeer[]): Promise<void> {
  const { findings } = arena;
  const contenders = arena.quick ? peers.filter((peer) => RATE_SETTERS.includes(peer.name)) : peers;
  const { rate, capped } = await halfLoad(arena, peers);
  if (rate === 0) return;
  if (capped)
    findings.note(`latency: half load would be more than ${RATE_MAX} requests/s, which is as much as the load generator sends evenly`);
  const how = `open loop, ${rate} requests/s at random, ${CONNECTIONS} connections, more than the median of the direct way`;
  const p50 = measureFor('p50', how);
  const p99 = measureFor('p99', how);
  const whole = new Findings();
  whole.declare(p99);
  const direct: RunningPeer = {
    name: DIRECT,
    pid: process.pid,
    ports: { ...arena.backends, https: 0, h2: 0 },
    ended: () => null,
    stop: async () => {},
  };
  await interleave({ ...arena, findings: whole }, p50, [direct, ...contenders], async (peer, seconds, round) => {
    const result = await runLoad<PaceResult>('pace.ts', [peer.ports.http, CONNECTIONS, seconds, rate], seconds);
    if (result.rate < rate * CARRIED_SHARE_MIN && round >= 0) {
      findings.note(`latency: ${peer.name} did not carry ${rate} requests/s in every round; the rounds in which it didn't are left out`);
      return null;
    }
    if (round >= 0) whole.add(p99.key, peer.name, { round, value: result.p99, rate: result.rate, load: 0 });
    return { value: result.p50, rate: result.rate, load: 0 };
  });
  for (const { measure, peer, reason } of whole.failures) findings.fail(measure, peer, reason);
  for (const measure of [p50, p99]) addDifferences(findings, measure, whole);
}

/** What is disturbed for a moment is one sample of the direct way, so each is compared with the median of them all. */
function addDifferences(findings: Findings, measure: Measure, whole: Findings): void {
  findings.declare(measure);
  const base = whole.series(measure.key).get(DIRECT);
  if (base === undefined) return;
  const { median } = summarise(base.map((sample) => sample.value));
  for (const [series, samples] of whole.series(measure.key)) {
    for (const sample of samples)
      findings.add(measure.key, series, { ...sample, value: series === DIRECT ? sample.value : sample.value - median });
  }
}

function measureFor(share: 'p50' | 'p99', how: string): Measure {
  return {
    key: `latency-${share}`,
    title: `added latency at half load, ${share}`,
    unit: 'µs',
    rateUnit: 'requests/s',
    how,
    baseline: null,
  };
}

async function halfLoad(arena: Arena, peers: readonly RunningPeer[]): Promise<{ rate: number; capped: boolean }> {
  const setters = peers.filter((peer) => RATE_SETTERS.includes(peer.name));
  let slowest = Number.POSITIVE_INFINITY;
  for (const peer of setters.length > 0 ? setters : peers) {
    arena.progress(`latency: how much ${peer.name} carries`);
    try {
      const { units, seconds } = await wrk(peer.ports.http, CALIBRATION_SECONDS);
      slowest = Math.min(slowest, units / seconds);
    } catch (error) {
      arena.findings.fail('latency-p50', peer.name, messageOf(error));
    }
  }
  const half = Number.isFinite(slowest) ? Math.floor(slowest / 2 / 100) * 100 : 0;
  return { rate: Math.min(RATE_MAX, half), capped: half > RATE_MAX };
}
