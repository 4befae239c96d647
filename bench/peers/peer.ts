/** What the bench needs of a proxy: how it is started on a set of backends, and what it is called. */
import { get } from 'node:http';
import type { BenchCertificate } from '../certificate.ts';
import type { Cores, Launched } from '../launch.ts';

/** Ports of 127.0.0.1 that the backends listen on. */
export interface Backends {
  /** Answers every request with a small 200. */
  readonly http: number;
  /** Sends back what it gets. */
  readonly echo: number;
  /** Sends without end once it got a byte. */
  readonly bulk: number;
}

export interface Setup {
  /** An empty folder of its own. */
  readonly folder: string;
  readonly backends: Backends;
  readonly certificate: BenchCertificate;
  readonly cores: Cores;
  readonly workers: number;
  /** Flows it must be able to carry at once. */
  readonly flows: number;
}

/** Ports of 127.0.0.1 behind which the proxy has each backend. 0: this one doesn't carry that. */
export interface ProxyPorts {
  readonly http: number;
  readonly echo: number;
  readonly bulk: number;
  /** TLS in front of the backend for HTTP. */
  readonly https: number;
  /** HTTP/2 in the clear in front of it. */
  readonly h2: number;
}

export interface RunningPeer {
  readonly name: string;
  readonly pid: number;
  readonly ports: ProxyPorts;
  /** Why it no longer runs, with the last of what it wrote; null while it does. */
  ended(): string | null;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** Whether it carries TCP at all. */
  readonly tcp: boolean;
  /** What it does about logging, for the report. */
  readonly logging: string;
  /** Everything else that somebody who doubts the figures wants to know. */
  readonly settings: string;
  /** Fails where it is not installed. */
  version(): Promise<string>;
  /** Settles once it carries traffic to all backends. Fails with what it wrote. */
  start(setup: Setup): Promise<RunningPeer>;
}

const READY_POLL_MS = 50;

/** Wraps a launched process as a running peer once `url` answers 200; stops it and fails where that doesn't happen in time. */
export async function whenReady(
  name: string,
  launched: Launched,
  ports: ProxyPorts,
  urls: readonly string[],
  timeoutMs: number,
): Promise<RunningPeer> {
  const ended = () => {
    const how = launched.ended();
    return how === null ? null : `${how}: ${launched.tail() || 'nothing written'}`;
  };
  const deadline = performance.now() + timeoutMs;
  for (const url of urls) {
    while ((await statusOf(url)) !== 200) {
      const how = ended();
      if (how !== null) throw new Error(`${name} ended before it was ready: ${how}`);
      if (performance.now() > deadline) {
        await launched.stop();
        throw new Error(`${name} was not ready within ${timeoutMs} ms (${url}): ${launched.tail() || 'nothing written'}`);
      }
      await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
    }
  }
  return { name, pid: launched.pid, ports, ended, stop: () => launched.stop() };
}

/** Status of a GET without keep-alive; 0 where there was no answer. */
function statusOf(url: string): Promise<number> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 1_000 }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', () => resolve(0));
  });
}
