/** HTTP/1.1 keep-alive with a small response: wrk and autocannon, which check each other. */
import { createRequire } from 'node:module';
import { type Arena, costOf, interleave, type LoadResult } from '../arena.ts';
import type { Measure } from '../findings.ts';
import { type Cores, runToEnd } from '../launch.ts';
import type { RunningPeer } from '../peers/peer.ts';

export const HTTP_CONNECTIONS = 64;
const GRACE_MS = 15_000;
const AUTOCANNON = createRequire(import.meta.url).resolve('autocannon/autocannon.js');

const WRK: Measure = {
  key: 'http-wrk',
  title: 'HTTP/1.1 keep-alive, wrk',
  unit: 'µs/request',
  rateUnit: 'requests/s',
  how: `wrk, 1 thread, ${HTTP_CONNECTIONS} connections, GET of a 64-byte body`,
  baseline: null,
};
const AUTOCANNON_MEASURE: Measure = {
  key: 'http-autocannon',
  title: 'HTTP/1.1 keep-alive, autocannon',
  unit: 'µs/request',
  rateUnit: 'requests/s',
  how: `autocannon, ${HTTP_CONNECTIONS} connections, no pipelining, GET of a 64-byte body`,
  baseline: null,
};

export async function http(arena: Arena, peers: readonly RunningPeer[]): Promise<void> {
  for (const [measure, load] of [
    [AUTOCANNON_MEASURE, autocannon],
    [WRK, wrk],
  ] as const) {
    await interleave(arena, measure, peers, async (peer, seconds) => {
      const { nsPerUnit, ...rest } = await costOf(peer, () => load(peer.ports.http, seconds));
      return { value: nsPerUnit / 1e3, ...rest };
    });
  }
}

/** Every response has to be a 2xx and every connection has to last, or the figure is of something else. */
export async function wrk(
  port: number,
  seconds: number,
  cores: Cores = 'load',
  scheme = 'http',
  headers: readonly string[] = [],
): Promise<LoadResult> {
  // wrk counts in whole seconds.
  const whole = Math.max(1, Math.round(seconds));
  const args = [
    '-t1',
    `-c${HTTP_CONNECTIONS}`,
    `-d${whole}s`,
    ...headers.flatMap((header) => ['-H', header]),
    `${scheme}://127.0.0.1:${port}/`,
  ];
  return parseWrk(await runToEnd(cores, 'wrk', args, whole * 1000 + GRACE_MS));
}

/** Reads wrk's closing lines. Fails where it speaks of errors. */
export function parseWrk(output: string): LoadResult {
  const errors = /Non-2xx or 3xx responses: .*|Socket errors: .*/.exec(output);
  if (errors !== null) throw new Error(`wrk: ${errors[0]}`);
  const match = /(\d+) requests in ([\d.]+)(ms|s|m)/.exec(output);
  if (match === null) throw new Error(`wrk: no result in its output: ${output.trim().slice(-200)}`);
  const factor = match[3] === 'ms' ? 0.001 : match[3] === 'm' ? 60 : 1;
  return { units: Number(match[1]), seconds: Number(match[2]) * factor };
}

export async function autocannon(port: number, seconds: number): Promise<LoadResult> {
  const args = [AUTOCANNON, '--json', '--no-progress', '-c', String(HTTP_CONNECTIONS), '-d', String(Math.max(1, Math.round(seconds)))];
  const output = await runToEnd('load', process.execPath, [...args, `http://127.0.0.1:${port}/`], seconds * 1000 + GRACE_MS);
  return parseAutocannon(output);
}

interface AutocannonResult {
  readonly '2xx': number;
  readonly non2xx: number;
  readonly errors: number;
  readonly timeouts: number;
  readonly duration: number;
}

/** Reads autocannon's JSON. Fails where it counts errors. */
export function parseAutocannon(output: string): LoadResult {
  const result = JSON.parse(output) as AutocannonResult;
  if (result.non2xx + result.errors + result.timeouts > 0) {
    throw new Error(`autocannon: ${result.non2xx} responses not 2xx, ${result.errors} errors, ${result.timeouts} timeouts`);
  }
  return { units: result['2xx'], seconds: result.duration };
}
