/** Two workers against one: whether a second core costs more for each request. HAProxy's threads and nginx's processes stand beside it. */
import { type Arena, costOf, interleave, startPeer } from '../arena.ts';
import type { Measure } from '../findings.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { wrk } from './http.ts';

const COMPARED = ['bulkhead', 'haproxy', 'nginx'];
const COMPARED_QUICK = ['bulkhead'];

export async function workers(arena: Arena): Promise<void> {
  for (const peer of arena.peers.filter((candidate) => (arena.quick ? COMPARED_QUICK : COMPARED).includes(candidate.name))) {
    const running: RunningPeer[] = [];
    try {
      for (const count of [1, 2]) {
        const started = await startPeer(arena, peer, { cores: 'all', workers: count });
        if (started === null) break;
        running.push({ ...started, name: nameOf(count) });
      }
      if (running.length < 2) continue;
      await interleave(arena, measureFor(peer.name), running, async (contender, seconds) => {
        const { nsPerUnit, ...rest } = await costOf(contender, () => wrk(contender.ports.http, seconds, 'all'));
        return { value: nsPerUnit / 1e3, ...rest };
      });
    } finally {
      for (const each of running) await each.stop();
    }
  }
}

const nameOf = (count: number) => (count === 1 ? '1 worker' : `${count} workers`);

function measureFor(peer: string): Measure {
  return {
    key: `workers-${peer}`,
    title: `${peer}, two workers against one`,
    unit: 'µs/request',
    rateUnit: 'requests/s',
    how: 'wrk, 64 connections; proxy and load on all cores',
    baseline: nameOf(1),
  };
}
