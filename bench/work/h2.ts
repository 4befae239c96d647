/** HTTP/2 in the clear from clients, HTTP/1.1 to the backend: h2load with many streams on few connections, and one on each of many. */
import { type Arena, costOf, interleave, type LoadResult } from '../arena.ts';
import type { Measure } from '../findings.ts';
import { runToEnd } from '../launch.ts';
import type { RunningPeer } from '../peers/peer.ts';

const GRACE_MS = 15_000;

const SHAPES = [
  { key: 'h2-streams', title: 'HTTP/2, many streams a connection', connections: 8, streams: 10 },
  { key: 'h2-connections', title: 'HTTP/2, one stream a connection', connections: 64, streams: 1 },
] as const;

export async function h2(arena: Arena, peers: readonly RunningPeer[]): Promise<void> {
  const speaking = peers.filter((peer) => peer.ports.h2 !== 0);
  for (const { key, title, connections, streams } of SHAPES) {
    const measure: Measure = {
      key,
      title,
      unit: 'µs/request',
      rateUnit: 'requests/s',
      how: `h2load, 1 thread, ${connections} connections of ${streams} streams at once, GET of a 64-byte body`,
      baseline: null,
    };
    await interleave(arena, measure, speaking, async (peer, seconds) => {
      const { nsPerUnit, ...rest } = await costOf(peer, () => h2load(peer.ports.h2, seconds, connections, streams));
      return { value: nsPerUnit / 1e3, ...rest };
    });
  }
}

async function h2load(port: number, seconds: number, connections: number, streams: number): Promise<LoadResult> {
  // It counts in whole seconds.
  const whole = Math.max(1, Math.round(seconds));
  const args = ['-t1', `-c${connections}`, `-m${streams}`, `-D${whole}`, `http://127.0.0.1:${port}/`];
  return parseH2load(await runToEnd('load', 'h2load', args, whole * 1000 + GRACE_MS), whole);
}

/** Reads h2load's closing lines. Fails where a request was not answered with a 2xx. */
export function parseH2load(output: string, seconds: number): LoadResult {
  const codes = /status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/.exec(output);
  const requests = /requests: .* (\d+) failed, (\d+) errored, (\d+) timeout/.exec(output);
  if (codes === null || requests === null) throw new Error(`h2load: no result in its output: ${output.trim().slice(-200)}`);
  const wrong = [...codes.slice(2), ...requests.slice(1)].map(Number).reduce((sum, count) => sum + count, 0);
  if (wrong > 0) throw new Error(`h2load: ${codes[0]}; ${requests[0]}`);
  return { units: Number(codes[1]), seconds };
}
