/**
 * Active checks, from the main thread: a TCP connect or an HTTP request at each interval, jittered so that many nodes don't knock as one. A server starts
 * as up; its first check decides at once, after that `rise` and `fall` do, also where the check changes.
 */
import { Agent, type buildConnector, type Dispatcher } from 'undici';
import type { Document, HealthCheck, Pool } from '../../config/document.ts';
import { announceSelf } from '../arrival/announcement.ts';
import type { ServerTable } from '../shared/servers.ts';
import type { ClientMaterial } from '../tls/material.ts';
import { type CheckConnection, openCheck } from './check-connection.ts';
import { askHttp2 } from './check-http2.ts';
import type { Planner } from './planner.ts';
import { materialOf } from './target.ts';

/** Share of the interval by which a check may come earlier or later. */
const JITTER = 0.1;

/** What a check takes from the machine. */
export interface Chance {
  /** From 0 up to 1. */
  random(): number;
  /** As setTimeout. */
  later(run: () => void, milliseconds: number): NodeJS.Timeout;
}

export interface HealthEvents {
  changed(pool: string, server: string, up: boolean, detail: string): void;
}

interface Outcome {
  readonly good: boolean;
  readonly detail: string;
}

/** What is known of a server, from where the next check goes on. */
interface Known {
  readonly up: boolean;
  /** No check has told anything yet. */
  readonly first: boolean;
  /** Outcomes in a row that speak against `up`. */
  readonly streak: number;
}

class Check implements Known {
  readonly key: string;
  detail = 'not checked yet';
  up: boolean;
  first: boolean;
  streak: number;
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private readonly agent: Agent;
  private readonly connection: Omit<CheckConnection, 'timeoutMs'>;
  private readonly settings: HealthCheck;
  private readonly chance: Chance;
  private readonly settle: (up: boolean, detail: string) => void;

  /**
   * `known` is what a check with other settings has found: it holds until this one has found otherwise, as often as `rise` and `fall` say. Files of TLS
   * that are renewed make another check, too, and must not let a single failure take all servers of a pool away.
   */
  constructor(
    key: string,
    connection: Omit<CheckConnection, 'timeoutMs'>,
    settings: HealthCheck,
    known: Known,
    chance: Chance,
    settle: (up: boolean, detail: string) => void,
  ) {
    this.key = key;
    this.up = known.up;
    this.first = known.first;
    this.streak = known.streak;
    this.connection = connection;
    this.settings = settings;
    this.settle = settle;
    this.chance = chance;
    // A new connection each time: a check of a kept one would not see a server that takes no new ones.
    this.agent = new Agent({
      allowH2: connection.tls?.alpn.includes('h2') ?? false,
      pipelining: 0,
      connect: (_options, done) => this.open(done),
    });
    this.timer = chance.later(() => void this.run(), 0);
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    void this.agent.destroy();
  }

  private async run(): Promise<void> {
    const outcome = this.settings.type === 'tcp' ? await this.tcp() : await this.http();
    if (this.stopped) return;
    this.note(outcome);
    const { intervalMs } = this.settings;
    this.timer = this.chance.later(() => void this.run(), intervalMs * (1 + JITTER * (2 * this.chance.random() - 1)));
  }

  private note(outcome: Outcome): void {
    this.detail = outcome.detail;
    const was = this.up;
    if (outcome.good === this.up) this.streak = 0;
    else if (++this.streak >= (this.first ? 1 : this.up ? this.settings.fall : this.settings.rise)) {
      this.up = outcome.good;
      this.streak = 0;
    }
    this.first = false;
    if (this.up !== was) this.settle(this.up, outcome.detail);
  }

  private open(done: buildConnector.Callback): void {
    const { connection, settings } = this;
    openCheck({ ...connection, timeoutMs: settings.timeoutMs }, (error, socket) => {
      if (socket !== null) done(null, socket);
      else done(error ?? new Error('no connection'), null);
    });
  }

  private tcp(): Promise<Outcome> {
    return new Promise((resolve) => {
      openCheck({ ...this.connection, timeoutMs: this.settings.timeoutMs }, (error, socket) => {
        // What was written to a server that listens is for it to read.
        socket?.destroySoon();
        const { code, message } = (error ?? {}) as Partial<NodeJS.ErrnoException>;
        resolve(error === null ? { good: true, detail: 'connected' } : { good: false, detail: code ?? message ?? 'no connection' });
      });
    });
  }

  private http2(authority: string, signal: AbortSignal): Promise<number> {
    const { connection, settings } = this;
    return new Promise((resolve, reject) => {
      openCheck({ ...connection, timeoutMs: settings.timeoutMs }, (error, socket) => {
        if (socket === null) reject(error ?? new Error('no connection'));
        else askHttp2(socket, { path: settings.path, authority, secured: connection.tls !== null }, signal).then(resolve, reject);
      });
    });
  }

  private async http(): Promise<Outcome> {
    const { settings } = this;
    const { endpoint, authority, http2 } = this.connection;
    const host = settings.host ?? authority;
    const origin = endpoint.kind === 'unix' ? 'http://localhost' : `http://${endpoint.text}`;
    const signal = AbortSignal.timeout(settings.timeoutMs);
    const judge = (status: number) => ({
      good: settings.expect.some(([low, high]) => status >= low && status <= high),
      detail: `HTTP ${status}`,
    });
    try {
      if (http2) return judge(await this.http2(host, signal));
      const response: Dispatcher.ResponseData = await this.agent.request({
        origin,
        path: settings.path,
        method: 'GET',
        signal,
        headers: {
          host,
          'user-agent': 'bulkhead-health',
          connection: 'close',
        },
      });
      await response.body.dump({ limit: 64 * 1024, signal });
      return judge(response.statusCode);
    } catch (error) {
      if (signal.aborted) return { good: false, detail: 'timed out' };
      const { code, message } = error as NodeJS.ErrnoException;
      return { good: false, detail: code ?? message };
    }
  }
}

export class Health {
  private readonly servers: ServerTable;
  private readonly planner: Pick<Planner, 'rowOf'>;
  private readonly events: HealthEvents;
  private readonly chance: Chance;
  private readonly tlsOf: (pool: Pool) => ClientMaterial | null;
  private checks = new Map<string, Check>();

  /** `tlsOf`: what is spoken to the servers of a pool; null where they are spoken to in the clear. */
  constructor(
    servers: ServerTable,
    planner: Pick<Planner, 'rowOf'>,
    tlsOf: (pool: Pool) => ClientMaterial | null,
    events: HealthEvents,
    chance: Chance = { random: Math.random, later: setTimeout },
  ) {
    this.servers = servers;
    this.planner = planner;
    this.tlsOf = tlsOf;
    this.events = events;
    this.chance = chance;
  }

  /** Checks what the document asks for. A check that stays as it was goes on, with what it knows. */
  watch(document: Document): void {
    const before = this.checks;
    this.checks = new Map();
    for (const pool of document.pools) {
      for (const server of pool.servers) {
        const name = `${pool.name} ${server.endpoint.text}`;
        const row = this.planner.rowOf(pool.name, server.endpoint.text);
        if (row === undefined) continue;
        if (pool.health === null || server.maintenance) {
          this.servers.setUp(row, true);
          continue;
        }
        const announced = pool.proxyProtocol === undefined ? null : announceSelf(pool.proxyProtocol);
        const tls = materialOf(server, this.tlsOf(pool));
        const authority = server.endpoint.kind === 'unix' ? 'localhost' : (server.named ?? server.endpoint).text;
        const key = JSON.stringify([pool.health, pool.protocol, announced?.toString('latin1'), tls?.id, authority]);
        const existing = before.get(name);
        if (existing !== undefined && existing.key === key) {
          before.delete(name);
          this.checks.set(name, existing);
          continue;
        }
        this.checks.set(
          name,
          new Check(
            key,
            { endpoint: server.endpoint, authority, announced, tls, http2: pool.protocol === 'h2' },
            pool.health,
            existing ?? { up: this.servers.up(row), first: true, streak: 0 },
            this.chance,
            (up, detail) => {
              this.servers.setUp(row, up);
              this.events.changed(pool.name, server.endpoint.text, up, detail);
            },
          ),
        );
      }
    }
    for (const check of before.values()) check.stop();
  }

  detail(pool: string, server: string): string {
    return this.checks.get(`${pool} ${server}`)?.detail ?? 'no check';
  }

  stop(): void {
    for (const check of this.checks.values()) check.stop();
    this.checks.clear();
  }
}
