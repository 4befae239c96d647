/** How the servers of a pool are watched, and what becomes of flows that one of them fails. */

export interface HealthCheck {
  readonly type: 'tcp' | 'http';
  /** For http: request target, Host field and the status codes that count as well (ranges, both ends included). */
  readonly path: string;
  readonly host: string | null;
  readonly expect: readonly (readonly [number, number])[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Successes in a row until up, failures in a row until down. */
  readonly rise: number;
  readonly fall: number;
}

/** Passive: a server that fails this many times in a row takes no new flows for a while. */
export interface Ejection {
  readonly failures: number;
  readonly forMs: number;
}

export interface Retries {
  /** Further servers tried after a failed dial. */
  readonly attempts: number;
  /** Share of dials (0 to 1) that may be retries, over a sliding window; a small number is always allowed. */
  readonly budget: number;
}
