/**
 * Who asks. Over a unix socket the file's permission has answered that; over the network a bearer token does (RFC 6750). Tokens are 256 random
 * bits, so a plain SHA-256 of them cannot be turned back, and is compared in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AdminToken } from '../../config/document.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import type { Actor } from '../versions/actor.ts';

/** Wrong tokens from one address before it has to wait, and how fast it earns the next try. */
export const FAILURES_MAX = 10;
const FAILURE_EARNED_MS = 6_000;
/** Addresses remembered at once; the oldest goes first. */
const ADDRESSES_MAX = 1_024;

export type Access =
  | { readonly ok: true; readonly actor: Actor }
  | {
      readonly ok: false;
      readonly status: 401 | 403 | 429;
      readonly code: string;
      readonly message: string;
      readonly retryAfterSeconds?: number;
    };

export class Doorkeeper {
  readonly #tokens: readonly { readonly name: string; readonly role: AdminToken['role']; readonly hash: Buffer }[];
  readonly #failures = new Map<string, { left: number; at: number }>();
  /** Requests with a token that nobody has, and those that were not even looked at after too many of them. */
  refused = 0;
  limited = 0;

  readonly #overUnix: boolean;

  /** `overUnix`: it is the listener that tells; a connection whose client is gone has no address over the network either. */
  constructor(tokens: readonly AdminToken[], overUnix: boolean) {
    this.#overUnix = overUnix;
    this.#tokens = tokens.map(({ name, role, sha256 }) => ({ name, role, hash: Buffer.from(sha256, 'hex') }));
  }

  /**
   * Who sends this request, by its token; `now` in milliseconds. `reads`: Basic will do as well, which browsers send by themselves, and so also on behalf of a
   * stranger's page: orders never go by it.
   */
  identify(request: IncomingMessage, now: number, reads = false): Access {
    if (this.#overUnix) return { ok: true, actor: { name: 'local', role: 'admin', from: 'unix' } };
    const { remoteAddress = 'a client that is gone', remotePort } = request.socket;
    if (this.#tokens.length === 0) {
      const message =
        'Writing is off, because no token is configured. Make one with bulkhead token, put it under process.admin.tokens and restart, or change the file and send SIGHUP to apply it.';
      return { ok: false, status: 403, code: 'no-token', message };
    }
    const left = this.#left(remoteAddress, now);
    if (left < 1) {
      this.limited++;
      hitNodeLimit('admin-token-tries');
      const message = `Too many wrong tokens came from ${remoteAddress}. Wait a few seconds, or use the unix socket.`;
      return { ok: false, status: 429, code: 'too-many-wrong-tokens', message, retryAfterSeconds: Math.ceil(FAILURE_EARNED_MS / 1000) };
    }
    const token = tokenOf(request.headers.authorization, reads);
    if (token === null)
      return { ok: false, status: 401, code: 'token-missing', message: 'This takes a token: send "Authorization: Bearer …" with it.' };
    const holder = this.#holder(token);
    if (holder === null) {
      this.refused++;
      this.#failures.delete(remoteAddress);
      this.#failures.set(remoteAddress, { left: left - 1, at: now });
      if (this.#failures.size > ADDRESSES_MAX) {
        hitNodeLimit('admin-token-addresses');
        this.#failures.delete(this.#failures.keys().next().value!);
      }
      return { ok: false, status: 401, code: 'token-unknown', message: 'Nobody has this token.' };
    }
    return { ok: true, actor: { name: holder.name, role: holder.role, from: `${remoteAddress}:${remotePort ?? 0}` } };
  }

  /**
   * Whether this request may read what the node carries: from this machine anybody may, from elsewhere who has a token. null: yes. Scrapers and
   * probes are not asked.
   */
  refusesReading(request: IncomingMessage, path: string, now: number): Exclude<Access, { ok: true }> | null {
    if (this.#overUnix || !path.startsWith('/api/') || path === '/api/v1/openapi.json' || isThisMachine(request.socket.remoteAddress))
      return null;
    const access = this.identify(request, now, true);
    if (access.ok) return null;
    const message =
      access.code === 'no-token'
        ? 'From another machine this takes a token, and none is configured. Make one with bulkhead token, put it under process.admin.tokens and restart.'
        : access.message;
    return { ...access, message };
  }

  /** Every token is compared, so that the time tells nothing of which one was near. */
  #holder(token: string): { name: string; role: AdminToken['role'] } | null {
    const hash = createHash('sha256').update(token).digest();
    let found: { name: string; role: AdminToken['role'] } | null = null;
    for (const candidate of this.#tokens) if (timingSafeEqual(candidate.hash, hash)) found = candidate;
    return found;
  }

  #left(address: string, now: number): number {
    const known = this.#failures.get(address);
    return known === undefined ? FAILURES_MAX : Math.min(FAILURES_MAX, known.left + (now - known.at) / FAILURE_EARNED_MS);
  }
}

/** A bearer token (RFC 6750); with `reads` also the password of Basic (RFC 7617), since browsers know no better. */
function tokenOf(field: string | undefined, reads: boolean): string | null {
  const text = field?.trim() ?? '';
  const basic = reads ? /^basic +([A-Za-z0-9+/=]{1,1024})$/i.exec(text)?.[1] : undefined;
  const token =
    basic === undefined
      ? /^bearer +(.*)$/i.exec(text)?.[1]
      : Buffer.from(basic, 'base64')
          .toString('latin1')
          .replace(/^[^:]*:/, '');
  return token !== undefined && /^[A-Za-z0-9._~+/=-]{1,512}$/.test(token) ? token : null;
}

/** 127.0.0.0/8 and ::1, also as IPv4 in IPv6. A client that is gone is nobody of ours. */
function isThisMachine(address: string | undefined): boolean {
  return address !== undefined && /^(?:(?:::ffff:)?127\.[0-9.]+|::1)$/i.test(address);
}
