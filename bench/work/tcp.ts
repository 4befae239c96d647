/** TCP: bulk, small messages back and forth, and new connections, each with a load of our own from bench/load. */
import { type Arena, costOf, interleave, type LoadResult, runLoad } from '../arena.ts';
import type { Measure } from '../findings.ts';
import type { ProxyPorts, RunningPeer } from '../peers/peer.ts';

interface TcpWork {
  readonly measure: Measure;
  readonly program: string;
  readonly port: keyof ProxyPorts;
  readonly connections: number;
  /** Nanoseconds of CPU a unit → the measure's unit. */
  readonly scale: number;
}

const BULK: TcpWork = {
  program: 'bulk-sink.ts',
  port: 'bulk',
  connections: 4,
  // ns per byte is s per GB (10⁹ bytes).
  scale: 1,
  measure: {
    key: 'bulk',
    title: 'TCP bulk',
    unit: 's/GB',
    rateUnit: 'bytes/s',
    how: 'server to client, 4 connections, reads of 256 KiB by the client',
    baseline: null,
  },
};

const PING_PONG: TcpWork = {
  program: 'ping-pong.ts',
  port: 'echo',
  connections: 32,
  scale: 1e-3,
  measure: {
    key: 'pingpong',
    title: 'TCP ping-pong',
    unit: 'µs/round trip',
    rateUnit: 'round trips/s',
    how: '64-byte messages, 32 connections',
    baseline: null,
  },
};

const CONNECT: TcpWork = {
  program: 'churn.ts',
  port: 'echo',
  connections: 32,
  scale: 1e-3,
  measure: {
    key: 'connect',
    title: 'TCP new connections',
    unit: 'µs/connection',
    rateUnit: 'connections/s',
    how: '32 at a time, 64 bytes there and back, the client ends first with FIN, 128 source addresses',
    baseline: null,
  },
};

export const bulk = (arena: Arena, peers: readonly RunningPeer[]) => run(arena, peers, BULK);
export const pingpong = (arena: Arena, peers: readonly RunningPeer[]) => run(arena, peers, PING_PONG);
export const connect = (arena: Arena, peers: readonly RunningPeer[]) => run(arena, peers, CONNECT);

async function run(arena: Arena, peers: readonly RunningPeer[], work: TcpWork): Promise<void> {
  const carriers = peers.filter((peer) => peer.ports[work.port] !== 0);
  await interleave(arena, work.measure, carriers, async (peer, seconds) => {
    const load = () => runLoad<LoadResult>(work.program, [peer.ports[work.port], work.connections, seconds], seconds);
    const { nsPerUnit, ...rest } = await costOf(peer, load);
    return { value: nsPerUnit * work.scale, ...rest };
  });
}
