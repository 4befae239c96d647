/** VIPs that a worker could not bind when it came to a policy. It tries again; until it has them they are told once and known here. */
import type { Endpoint } from '../../config/document.ts';
import type { Logger } from '../observe/log.ts';
import type { ListenFailure } from './plan.ts';

export class Unbound {
  readonly #log: Logger;
  readonly #failures = new Map<number, readonly ListenFailure[]>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** What a worker could not bind of the policy that it has now. */
  settle(worker: number, failures: readonly ListenFailure[]): void {
    const before = this.#failures.get(worker) ?? [];
    this.#failures.set(worker, failures);
    for (const { endpoint, code } of failures)
      if (!before.some((known) => known.endpoint === endpoint && known.code === code))
        this.#log.error({ worker, endpoint, code }, 'a worker cannot listen on a VIP; it tries again');
    for (const { endpoint } of before)
      if (!failures.some((failure) => failure.endpoint === endpoint))
        this.#log.info({ worker, endpoint }, 'a worker no longer lacks a VIP');
  }

  /** A worker has died; the one that takes its place begins anew. */
  lost(worker: number): void {
    this.#failures.delete(worker);
  }

  lacks(worker: number, endpoint: string): boolean {
    return this.#failures.get(worker)?.some((known) => known.endpoint === endpoint) === true;
  }

  /** Why workers lack a VIP: the name of an error for each of them. */
  of({ text }: Endpoint): string[] {
    return [...this.#failures.values()].flat().flatMap(({ endpoint, code }) => (endpoint === text ? [code] : []));
  }

  /** Whether no worker listens on a VIP. A unix socket is bound by one alone. */
  isUnheard(endpoint: Endpoint, workers: number): boolean {
    return this.of(endpoint).length >= (endpoint.kind === 'unix' ? 1 : workers);
  }
}
