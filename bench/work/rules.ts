/** What Bulkhead's policy costs end to end: the same work under one rule and under many, with few prefixes and with many. */
import { type Arena, costOf, interleave, type LoadResult, runLoad, startPeer } from '../arena.ts';
import type { Measure } from '../findings.ts';
import { bulkheadWith, type PolicyText } from '../peers/bulkhead.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { wrk } from './http.ts';

interface Size {
  readonly rules: number;
  readonly prefixes: number;
}

const SIZES: readonly Size[] = [
  { rules: 1, prefixes: 10 },
  { rules: 100, prefixes: 1_000 },
  { rules: 1_000, prefixes: 10_000 },
  { rules: 1, prefixes: 100_000 },
  { rules: 10_000, prefixes: 10 },
  { rules: 10_000, prefixes: 100_000 },
];
const SIZES_QUICK: readonly Size[] = [SIZES[0]!, SIZES[5]!];
const ROUNDS_MAX = 3;

const sizeName = ({ rules, prefixes }: Size) =>
  `${rules.toLocaleString('en')} ${rules === 1 ? 'rule' : 'rules'}, ${prefixes.toLocaleString('en')} prefixes`;
const BASELINE = sizeName(SIZES[0]!);

const HTTP: Measure = {
  key: 'rules-http',
  title: 'Bulkhead by size of policy, HTTP/1.1 keep-alive',
  unit: 'µs/request',
  rateUnit: 'requests/s',
  how: 'wrk, 64 connections; the client is allowed by the last rule, which only 127.0.0.0/8 meets',
  baseline: BASELINE,
};
const CONNECT: Measure = {
  key: 'rules-connect',
  title: 'Bulkhead by size of policy, TCP new connections',
  unit: 'µs/connection',
  rateUnit: 'connections/s',
  how: '32 at a time; the client is allowed by the last rule, which only 127.0.0.0/8 meets',
  baseline: BASELINE,
};

export async function rules(arena: Arena): Promise<void> {
  const running: RunningPeer[] = [];
  try {
    for (const size of arena.quick ? SIZES_QUICK : SIZES) {
      const started = performance.now();
      const peer = await startPeer(arena, bulkheadWith(sizeName(size), policyOf(size)));
      if (peer === null) continue;
      running.push(peer);
      arena.findings.note(`rules: ${peer.name}: ready after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    }
    if (running.length === 0) return;
    const fewer = { ...arena, rounds: Math.min(arena.rounds, ROUNDS_MAX) };
    await interleave(fewer, HTTP, running, async (peer, seconds) => {
      const { nsPerUnit, ...rest } = await costOf(peer, () => wrk(peer.ports.http, seconds));
      return { value: nsPerUnit / 1e3, ...rest };
    });
    await interleave(fewer, CONNECT, running, async (peer, seconds) => {
      const { nsPerUnit, ...rest } = await costOf(peer, () => runLoad<LoadResult>('churn.ts', [peer.ports.echo, 32, seconds], seconds));
      return { value: nsPerUnit / 1e3, ...rest };
    });
  } finally {
    for (const peer of running) await peer.stop();
  }
}

/**
 * A policy of that many rules over that many prefixes. All rules but the last deny segments that the load is not in; the last
 * allows the segment it is in, so that whoever goes through the rules one by one has the longest way.
 */
export function policyOf({ rules, prefixes }: Size): PolicyText {
  const segmentCount = Math.max(1, Math.min(rules - 1, prefixes));
  const members: string[][] = Array.from({ length: segmentCount }, () => []);
  for (let i = 0; i < prefixes - 1; i++) members[i % segmentCount]!.push(prefixText(i));
  const clients = rules === 1 ? ['127.0.0.0/8', ...members.splice(0).flat()] : ['127.0.0.0/8'];
  const filled = members.filter((addresses) => addresses.length > 0);
  const segments = filled.map((addresses, i) => `  s${i}: { addresses: [${addresses.join(', ')}] }`);
  segments.push(`  clients: { addresses: [${clients.join(', ')}] }`);
  const lines: string[] = [];
  for (let i = 0; i < rules - 1; i++) lines.push(`      - { name: r${i}, from: [s${i % filled.length}], action: deny }`);
  lines.push('      - { name: clients, from: [clients], action: allow }');
  return { segments: segments.join('\n'), rules: lines.join('\n') };
}

/** Distinct prefixes of 24 to 32 bits, none of which holds another: one in each /24 from 16.0.0.0 on. */
function prefixText(index: number): string {
  const bits = 24 + (index % 9);
  return `${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}.0/${bits}`;
}
