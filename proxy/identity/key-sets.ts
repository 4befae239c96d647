/** The key sets of token issuers as a worker has them: sent by the main thread, asked for again when a token names a key that is not there. */
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { KEYS_WAIT_MS, type Keys } from './token.ts';

export class KeySets implements Keys {
  readonly #sets = new Map<string, JWTVerifyGetKey | null>();
  readonly #waiting = new Map<string, Set<() => void>>();
  readonly #want: (location: string) => void;

  /** `want` has the keys of a location fetched; they come by `learn`. */
  constructor(want: (location: string) => void) {
    this.#want = want;
  }

  keysOf(location: string): JWTVerifyGetKey | null {
    return this.#sets.get(location) ?? null;
  }

  /** What the main thread has: null where it could not get any, which leaves those that there were. */
  learn(location: string, keys: JSONWebKeySet | null): void {
    if (keys !== null) this.#sets.set(location, createLocalJWKSet(keys));
    const waiting = this.#waiting.get(location);
    this.#waiting.delete(location);
    for (const done of waiting ?? []) done();
  }

  refresh(location: string): Promise<void> {
    return new Promise((resolve) => {
      let waiting = this.#waiting.get(location);
      if (waiting === undefined) {
        this.#waiting.set(location, (waiting = new Set()));
        this.#want(location);
      }
      const all = waiting;
      const done = () => {
        clearTimeout(timer);
        all.delete(done);
        resolve();
      };
      const timer = setTimeout(() => {
        if (this.#waiting.get(location) === all) this.#waiting.delete(location);
        done();
      }, KEYS_WAIT_MS);
      all.add(done);
    });
  }
}
