/**
 * Who a token (JWT, RFC 7519) says its bearer is. A token is checked once: what it came to is kept for as long as it holds, so that the requests
 * of a client cost a look at a table. Signatures are jose's business; keys come from `keysOf`.
 */
import { errors, type JWTVerifyGetKey, jwtVerify } from 'jose';
import type { TokenIssuer } from '../../config/jwt.ts';

/** Tokens of which a worker keeps what they came to, for each application. */
export const TOKENS_KEPT_MAX = 4_096;
/** A longer one is none: what is kept would otherwise be as large as heads are. Servers and browsers stop at about as much. */
export const TOKEN_CHARACTERS_MAX = 8_192;
/** A token that was refused is refused again without a check for this long: its issuer may still publish its key. */
const REFUSAL_KEPT_MS = 5_000;
/** How long a request waits for keys that are fetched because of it. */
export const KEYS_WAIT_MS = 2_000;
const IDENTITIES_MAX = 64;
const IDENTITY_CHARACTERS_MAX = 256;

/** `no-key`: the issuer has none of that name; `no-keys`: the issuer's keys could not be had, so that nothing is known of the token. */
export type TokenFault = 'several' | 'malformed' | 'issuer' | 'audience' | 'expired' | 'not-yet-valid' | 'signature' | 'no-key' | 'no-keys';

/** What a token came to. `fault` null: it holds, until `until` (milliseconds since 1970). */
export interface Checked {
  readonly identities: readonly string[];
  readonly fault: TokenFault | null;
  readonly until: number;
}

export interface Keys {
  /** null: not there yet. */
  keysOf(location: string): JWTVerifyGetKey | null;
  /** Has the keys fetched again, as a token names one that is not there; answers when they are, or there is no hope for now. */
  refresh(location: string): Promise<void>;
}

export class TokenChecker {
  readonly issuers: readonly TokenIssuer[];
  /** Tokens come in the Authorization field and nowhere else. */
  readonly readsAuthorization: boolean;
  /** Changes with the keys: what was found before counts no longer. */
  round = 0;
  readonly #keys: Keys;
  readonly #kept = new Map<string, Checked>();
  readonly #pending = new Map<string, Promise<Checked>>();

  constructor(issuers: readonly TokenIssuer[], keys: Keys) {
    this.issuers = issuers;
    this.readsAuthorization = issuers.every(({ carrier }) => carrier.kind === 'header' && carrier.name.toLowerCase() === 'authorization');
    this.#keys = keys;
  }

  /** hot: what is known of a token; null where it has to be checked. */
  known(token: string, now: number): Checked | null {
    if (token.length > TOKEN_CHARACTERS_MAX) return TOO_LONG;
    const checked = this.#kept.get(token);
    if (checked === undefined) return null;
    if (now < checked.until) return checked;
    this.#kept.delete(token);
    return null;
  }

  /** Checks a token, once for all who ask meanwhile. Never rejects. */
  check(token: string, now: number): Promise<Checked> {
    const pending = this.#pending.get(token);
    if (pending !== undefined) return pending;
    const { round } = this;
    const check = this.#check(token, now).then((checked) => {
      this.#pending.delete(token);
      // Where keys have changed meanwhile, whoever waits asks again.
      if (round === this.round) this.#keep(token, checked);
      return checked;
    });
    this.#pending.set(token, check);
    return check;
  }

  /** Keys have changed: what was refused or accepted by the old ones is looked at again. */
  forget(): void {
    this.round++;
    this.#kept.clear();
  }

  async #check(token: string, now: number): Promise<Checked> {
    const issuer = this.issuers.find((known) => known.issuer === issuerOf(token));
    if (issuer === undefined) return refusal(issuerOf(token) === null ? 'malformed' : 'issuer', now);
    const first = await this.#verify(token, issuer, now);
    if (first.fault !== 'no-key' && first.fault !== 'no-keys') return first;
    await this.#keys.refresh(issuer.keys);
    return this.#verify(token, issuer, now);
  }

  async #verify(token: string, issuer: TokenIssuer, now: number): Promise<Checked> {
    const keys = this.#keys.keysOf(issuer.keys);
    if (keys === null) return refusal('no-keys', now);
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer: issuer.issuer,
        audience: [...issuer.audiences],
        algorithms: [...issuer.algorithms],
        clockTolerance: issuer.clockSkewMs / 1000,
        currentDate: new Date(now),
      });
      const until = payload.exp === undefined ? now + REFUSAL_KEPT_MS : payload.exp * 1000 + issuer.clockSkewMs;
      // The library counts in whole seconds. What it lets pass for the rest of one would be asked of it again and again.
      if (until <= now) return refusal('expired', now);
      return { identities: identitiesOf(payload, issuer.claims), fault: null, until };
    } catch (error) {
      return refusal(faultOf(error), now);
    }
  }

  #keep(token: string, checked: Checked): void {
    // The one that came first goes first: a map is in the order in which its entries were made.
    if (this.#kept.size >= TOKENS_KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(token, checked);
  }
}

const TOO_LONG: Checked = { identities: [], fault: 'malformed', until: Number.POSITIVE_INFINITY };

function refusal(fault: TokenFault, now: number): Checked {
  return { identities: [], fault, until: now + REFUSAL_KEPT_MS };
}

/** What an unchecked token says of its issuer: only to choose the keys. */
function issuerOf(token: string): string | null {
  const parts = token.split('.');
  if (parts.length !== 3) return null;
  try {
    const payload: unknown = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8'));
    const issuer = typeof payload === 'object' && payload !== null && 'iss' in payload ? payload.iss : null;
    return typeof issuer === 'string' ? issuer : null;
  } catch {
    return null;
  }
}

function faultOf(error: unknown): TokenFault {
  if (error instanceof errors.JWTExpired) return 'expired';
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) return 'no-key';
  if (error instanceof errors.JWTClaimValidationFailed)
    return error.claim === 'aud' ? 'audience' : error.claim === 'nbf' ? 'not-yet-valid' : error.claim === 'iss' ? 'issuer' : 'malformed';
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return 'malformed';
  return 'signature';
}

/** As rules name them. Values that are lists count one by one; what is neither text, number nor truth value has no name. */
function identitiesOf(payload: Readonly<Record<string, unknown>>, claims: readonly string[]): string[] {
  const found: string[] = [];
  const add = (kind: string, value: unknown) => {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (!['string', 'number', 'boolean'].includes(typeof one)) continue;
      const identity = `${kind}${one}`;
      if (found.length < IDENTITIES_MAX && identity.length <= IDENTITY_CHARACTERS_MAX) found.push(identity);
    }
  };
  add('jwt:', payload.sub);
  add('jwt-issuer:', payload.iss);
  add('jwt-audience:', payload.aud);
  for (const claim of claims) add(`claim:${claim}=`, payload[claim]);
  return found;
}
