/** What is kept in milliseconds, as answers show it: ISO 8601 in UTC. */
import type { Overlay, Quarantine, ServerOverride } from '../versions/record.ts';
import type { ListedVersion } from '../versions/store.ts';

export function shownQuarantine({ since, until, ...rest }: Quarantine) {
  return { ...rest, since: iso(since), until: iso(until) };
}

export function shownOverride({ since, ...rest }: ServerOverride) {
  return { ...rest, since: iso(since) };
}

export interface ShownOverlay {
  readonly quarantines: readonly ReturnType<typeof shownQuarantine>[];
  readonly servers: readonly ReturnType<typeof shownOverride>[];
}

/** What was shown, as it is kept. */
export function keptOverlay({ quarantines, servers }: ShownOverlay): Overlay {
  return {
    quarantines: quarantines.map(({ since, until, ...rest }) => ({ ...rest, since: Date.parse(since), until: Date.parse(until) })),
    servers: servers.map(({ since, ...rest }) => ({ ...rest, since: Date.parse(since) })),
  };
}

export function shownOverlay({ quarantines, servers }: Overlay): ShownOverlay {
  return { quarantines: quarantines.map(shownQuarantine), servers: servers.map(shownOverride) };
}

export function shownVersion({ confirm, ...rest }: ListedVersion) {
  return { ...rest, confirm: confirm === null ? null : { until: iso(confirm.until), revertTo: confirm.revertTo } };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
