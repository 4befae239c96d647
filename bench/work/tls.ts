/** TLS of clients: requests on connections that are kept, full handshakes, and resumed ones. */
import { type Arena, costOf, interleave, type LoadResult, runLoad } from '../arena.ts';
import type { Measure } from '../findings.ts';
import type { RunningPeer } from '../peers/peer.ts';
import { HTTP_CONNECTIONS, wrk } from './http.ts';

const HANDSHAKE_CONNECTIONS = 16;
/** What is done once a connection is compiled after some ten thousand of them, and a turn has three: measured, a first turn costs 1.5 times the tenth. */
const WARM_UP_TURNS = 5;

const REQUESTS: Measure = {
  key: 'tls-requests',
  title: 'TLS, requests on kept connections',
  unit: 'µs/request',
  rateUnit: 'requests/s',
  how: `wrk, 1 thread, ${HTTP_CONNECTIONS} connections, TLS 1.3, GET of a 64-byte body`,
  baseline: null,
};
const FULL: Measure = {
  key: 'tls-full',
  title: 'TLS, full handshakes',
  unit: 'µs/connection',
  rateUnit: 'connections/s',
  how: `TLS 1.3, X25519, ECDSA P-256, ${HANDSHAKE_CONNECTIONS} at a time, one request each`,
  baseline: null,
  warmUpTurns: WARM_UP_TURNS,
};
const RESUMED: Measure = {
  key: 'tls-resumed',
  title: 'TLS, resumed handshakes',
  unit: 'µs/connection',
  rateUnit: 'connections/s',
  how: `TLS 1.3, by session ticket, ${HANDSHAKE_CONNECTIONS} at a time, one request each`,
  baseline: null,
  warmUpTurns: WARM_UP_TURNS,
};

export async function tls(arena: Arena, peers: readonly RunningPeer[]): Promise<void> {
  const speaking = peers.filter((peer) => peer.ports.https !== 0);
  const handshakes = (port: number, seconds: number, resumed: 0 | 1) =>
    runLoad<LoadResult>('handshakes.ts', [port, HANDSHAKE_CONNECTIONS, seconds, resumed], seconds);
  for (const [measure, load] of [
    [REQUESTS, (port: number, seconds: number) => wrk(port, seconds, 'load', 'https')],
    [FULL, (port: number, seconds: number) => handshakes(port, seconds, 0)],
    [RESUMED, (port: number, seconds: number) => handshakes(port, seconds, 1)],
  ] as const) {
    await interleave(arena, measure, speaking, async (peer, seconds) => {
      const { nsPerUnit, ...rest } = await costOf(peer, () => load(peer.ports.https, seconds));
      return { value: nsPerUnit / 1e3, ...rest };
    });
  }
}
