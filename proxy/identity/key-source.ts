/**
 * Fetches the key sets (RFC 7517) of token issuers, on the main thread: when an application names them, from time to time after that, and when a
 * worker has met a token whose key is not there. What is known stays while a location does not answer.
 */
import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet } from 'jose';
import { Agent, request } from 'undici';
import type { Document } from '../../config/document.ts';

/** Issuers publish a new key a day or more before they sign with it; five minutes are early enough. */
export const KEYS_REFRESH_MS_DEFAULT = 5 * 60_000;
/** Tokens that name keys which do not exist are a client's to make up: they cost the issuer no more than this. */
const ASKED_AGAIN_MS = 10_000;
const FETCH_MS = 4_000;
const BYTES_MAX = 512 * 1024;

export interface KeySourceEvents {
  /** A set for the workers; null: asked again, and nothing has come of it. */
  learnt(location: string, keys: JSONWebKeySet | null): void;
  trouble(location: string, message: string): void;
}

/** Where the applications of a document want keys from. */
export function keyLocations({ applications }: Document): ReadonlySet<string> {
  return new Set(applications.flatMap(({ tokens }) => tokens.map(({ keys }) => keys)));
}

interface Known {
  keys: JSONWebKeySet | null;
  /** As published, to see whether it changed. */
  text: string;
  fetchedAt: number;
  pending: Promise<void> | null;
}

export class KeySource {
  readonly #known = new Map<string, Known>();
  readonly #events: KeySourceEvents;
  readonly #timer: NodeJS.Timeout;
  readonly #now: () => number;
  // HTTP/1.1 alone, and nothing kept open: it is asked once in minutes.
  readonly #agent = new Agent({ allowH2: false, pipelining: 0, connect: { timeout: FETCH_MS } });

  constructor(events: KeySourceEvents, refreshMs: number = KEYS_REFRESH_MS_DEFAULT, now: () => number = Date.now) {
    this.#events = events;
    this.#now = now;
    this.#timer = setInterval(() => {
      for (const location of this.#known.keys()) void this.#fetch(location);
    }, refreshMs);
    this.#timer.unref();
  }

  /** The locations that the policy in force names; others are forgotten. Fetches what is new, without waiting for it. */
  settle(locations: ReadonlySet<string>): void {
    for (const location of this.#known.keys()) if (!locations.has(location)) this.#known.delete(location);
    for (const location of locations) {
      if (this.#known.has(location)) continue;
      this.#known.set(location, { keys: null, text: '', fetchedAt: Number.NEGATIVE_INFINITY, pending: null });
      void this.#fetch(location);
    }
  }

  /** A worker has met a token whose key is not in the set. */
  wanted(location: string): void {
    const known = this.#known.get(location);
    if (known === undefined) return;
    if (known.pending !== null || this.#now() - known.fetchedAt >= ASKED_AGAIN_MS) void this.#fetch(location, true);
    else this.#events.learnt(location, null);
  }

  /** All sets that are known: for a worker that has just started. */
  *sets(): Iterable<readonly [location: string, keys: JSONWebKeySet]> {
    for (const [location, { keys }] of this.#known) if (keys !== null) yield [location, keys];
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#known.clear();
    await this.#agent.destroy();
  }

  async #fetch(location: string, answer = false): Promise<void> {
    const known = this.#known.get(location)!;
    if (known.pending === null) {
      known.fetchedAt = this.#now();
      known.pending = this.#read(location, known).finally(() => {
        known.pending = null;
      });
    }
    await known.pending;
    if (answer && this.#known.get(location) === known) this.#events.learnt(location, known.keys);
  }

  async #read(location: string, known: Known): Promise<void> {
    try {
      const text = /^https?:\/\//i.test(location) ? await this.#get(location) : await readFile(location, 'utf8');
      if (this.#known.get(location) !== known || text === known.text) return;
      const keys = JSON.parse(text) as JSONWebKeySet;
      // Throws where it is no key set.
      createLocalJWKSet(keys);
      known.text = text;
      known.keys = keys;
      this.#events.learnt(location, keys);
    } catch (error) {
      if (this.#known.get(location) === known) this.#events.trouble(location, error instanceof Error ? error.message : String(error));
    }
  }

  async #get(location: string): Promise<string> {
    const response = await request(location, {
      dispatcher: this.#agent,
      headers: { accept: 'application/jwk-set+json, application/json' },
      signal: AbortSignal.timeout(FETCH_MS),
    });
    if (response.statusCode !== 200) {
      await response.body.dump();
      throw new Error(`answered ${response.statusCode}`);
    }
    let text = '';
    for await (const part of response.body.setEncoding('utf8')) {
      text += part;
      if (text.length > BYTES_MAX) throw new Error(`is larger than ${BYTES_MAX} bytes`);
    }
    return text;
  }
}
