/**
 * Fetches the key sets (RFC 7517) of token issuers, on the main thread: when an application names them, from time to time after that, and when a
 * worker has met a token whose key is not there. What is known stays while a location does not answer, and it is asked again before long.
 */
import { createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createLocalJWKSet, type JSONWebKeySet, type JWK } from 'jose';
import { Agent, request } from 'undici';
import type { Document } from '../../config/document.ts';
import type { TokenKeysState } from '../observe/view.ts';

/** Issuers publish a new key a day or more before they sign with it; five minutes are early enough. */
export const KEYS_REFRESH_MS_DEFAULT = 5 * 60_000;
/** After a failure; doubled each time, up to a minute: an issuer that restarts is back before its users have given up. */
export const KEYS_RETRY_MS_DEFAULT = 1_000;
const RETRY_MS_MAX = 60_000;
/** Tokens that name keys which do not exist are a client's to make up: they cost the issuer no more than this. */
const ASKED_AGAIN_MS = 10_000;
const FETCH_MS = 4_000;
const BYTES_MAX = 512 * 1024;

export interface KeySourceEvents {
  /** A set for the workers; null: asked again, and nothing new has come of it. */
  learnt(location: string, keys: JSONWebKeySet | null): void;
  /** Said once a reason, not once a failure. */
  trouble(location: string, message: string): void;
  recovered(location: string): void;
}

export interface KeyTimes {
  readonly refreshMs?: number;
  readonly retryMs?: number;
}

/** Where the applications of a document want keys from. */
export function keyLocations({ applications }: Document): ReadonlySet<string> {
  return new Set(applications.flatMap(({ tokens }) => tokens.map(({ keys }) => keys)));
}

interface Known {
  keys: JSONWebKeySet | null;
  /** As published, to see whether it changed. */
  text: string;
  askedAt: number;
  /** When a good set last came; null: never. */
  fetchedAt: number | null;
  fetched: number;
  failed: number;
  /** Failures in a row, and what the last one said. */
  inRow: number;
  fault: string | null;
  /** Answers whether something new has come. */
  pending: Promise<boolean> | null;
  retry: NodeJS.Timeout | undefined;
}

export class KeySource {
  readonly #known = new Map<string, Known>();
  readonly #events: KeySourceEvents;
  readonly #timer: NodeJS.Timeout;
  readonly #retryMs: number;
  readonly #now: () => number;
  // HTTP/1.1 alone, and nothing kept open: it is asked once in minutes.
  readonly #agent = new Agent({ allowH2: false, pipelining: 0, connect: { timeout: FETCH_MS } });

  constructor(events: KeySourceEvents, times: KeyTimes = {}, now: () => number = Date.now) {
    const { refreshMs = KEYS_REFRESH_MS_DEFAULT, retryMs = KEYS_RETRY_MS_DEFAULT } = times;
    this.#events = events;
    this.#retryMs = retryMs;
    this.#now = now;
    this.#timer = setInterval(() => {
      for (const location of this.#known.keys()) void this.#fetch(location);
    }, refreshMs);
    this.#timer.unref();
  }

  /** The locations that the policy in force names; others are forgotten. Fetches what is new, without waiting for it. */
  settle(locations: ReadonlySet<string>): void {
    for (const location of [...this.#known.keys()]) if (!locations.has(location)) this.#forget(location);
    for (const location of locations) {
      if (this.#known.has(location)) continue;
      this.#known.set(location, {
        ...{ keys: null, text: '', askedAt: Number.NEGATIVE_INFINITY, fetchedAt: null, fetched: 0, failed: 0 },
        ...{ inRow: 0, fault: null, pending: null, retry: undefined },
      });
      void this.#fetch(location);
    }
  }

  /** A worker has met a token whose key is not in the set. */
  wanted(location: string): void {
    const known = this.#known.get(location);
    if (known === undefined) return;
    // Also where the clock was set back.
    const isLongAgo = Math.abs(this.#now() - known.askedAt) >= ASKED_AGAIN_MS;
    if (known.pending !== null || isLongAgo) void this.#fetch(location, true);
    else this.#events.learnt(location, null);
  }

  /** All sets that are known: for a worker that has just started. */
  *sets(): Iterable<readonly [location: string, keys: JSONWebKeySet]> {
    for (const [location, { keys }] of this.#known) if (keys !== null) yield [location, keys];
  }

  /** How each location does, in the order of the document. */
  states(): TokenKeysState[] {
    return [...this.#known].map(([location, { fetchedAt, fetched, failed, fault }]) => ({ location, fetchedAt, fetched, failed, fault }));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (const location of [...this.#known.keys()]) this.#forget(location);
    await this.#agent.destroy();
  }

  #forget(location: string): void {
    clearTimeout(this.#known.get(location)?.retry);
    this.#known.delete(location);
  }

  async #fetch(location: string, answer = false): Promise<void> {
    const known = this.#known.get(location);
    if (known === undefined) return;
    if (known.pending === null) {
      known.askedAt = this.#now();
      known.pending = this.#read(location, known).finally(() => {
        known.pending = null;
      });
    }
    const isNew = await known.pending;
    if (answer && !isNew && this.#known.get(location) === known) this.#events.learnt(location, null);
  }

  /** Answers whether something new has come. */
  async #read(location: string, known: Known): Promise<boolean> {
    try {
      const text = /^https?:\/\//i.test(location) ? await this.#get(location) : await readFile(location, 'utf8');
      if (this.#known.get(location) !== known) return false;
      const isNew = known.keys === null || text !== known.text;
      if (isNew) known.keys = keySetOf(text);
      known.text = text;
      this.#succeeded(location, known);
      if (isNew) this.#events.learnt(location, known.keys);
      return isNew;
    } catch (error) {
      if (this.#known.get(location) === known) this.#failed(location, known, error);
      return false;
    }
  }

  #succeeded(location: string, known: Known): void {
    clearTimeout(known.retry);
    known.fetchedAt = this.#now();
    known.fetched++;
    known.inRow = 0;
    if (known.fault !== null) this.#events.recovered(location);
    known.fault = null;
  }

  #failed(location: string, known: Known, error: unknown): void {
    const fault = faultOf(error);
    known.failed++;
    if (fault !== known.fault) this.#events.trouble(location, fault);
    known.fault = fault;
    clearTimeout(known.retry);
    const waitMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2 ** Math.min(known.inRow++, 16));
    known.retry = setTimeout(() => void this.#fetch(location), waitMs).unref();
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

/** Whom OpenSSL cannot trace to an authority that is believed. Node's own words name an option of Node, which the node's users do not start. */
const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

function faultOf(error: unknown): string {
  const { message, code } = error as NodeJS.ErrnoException;
  if (code !== undefined && UNKNOWN_AUTHORITY.has(code))
    return `${message.split(';')[0]}: start the node with NODE_EXTRA_CA_CERTS set to a file that has the authority of its certificate`;
  // Of several addresses that were tried, the error has a code and no message.
  return message || code || String(error);
}

/**
 * Throws where the text is no key set, and where no key in it could check a signature: an issuer that loses its keys for a while publishes a set
 * without any, which would make every token a bad one.
 */
function keySetOf(text: string): JSONWebKeySet {
  const set = JSON.parse(text) as JSONWebKeySet;
  createLocalJWKSet(set);
  if (!set.keys.some(checksSignatures)) throw new Error('its key set has no key that could check a signature');
  return set;
}

/** RFC 7517: a public key, not meant for something else, that can be read. */
function checksSignatures(key: JWK): boolean {
  const { use, key_ops: operations, d } = key;
  if (d !== undefined || (use !== undefined && use !== 'sig')) return false;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return false;
  try {
    createPublicKey({ key, format: 'jwk' });
    return true;
  } catch {
    return false;
  }
}
