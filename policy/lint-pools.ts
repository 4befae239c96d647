/** Findings about pools: servers whose end nobody would notice but the clients. */
import type { Document, Problem } from '../config/document.ts';
import { pointer } from './lint-sources.ts';

/** Pools that flows go to and that nothing checks. Copies of requests are nobody's loss. */
export function unwatchedPools({ applications, pools }: Document): Problem[] {
  const used = new Set(applications.flatMap(({ pool, routes }) => [pool, ...routes.flatMap(({ pools: to }) => to.map((one) => one.pool))]));
  return pools
    .filter(({ name, health, servers, names = [] }) => used.has(name) && health === null && servers.length + names.length > 0)
    .map(({ name, place }) => {
      const message = `Pool "${name}" has no health: check, so a dead server is noticed only by the flows that fail. Add health: { type: tcp }, or { type: http, path: /healthz }.`;
      return { code: 'pool-without-health', severity: 'warning', path: `/pools/${pointer(name)}`, place, message };
    });
}
