/** Whether an endpoint lies inside a lane, and what to say where it does not. */
import type { Prefix } from './address.ts';
import { formatPrefix, isWildcard, prefixContains } from './address.ts';
import { LANE_DEFAULT } from './defaults.ts';
import type { Networks } from './document.ts';
import type { EndpointRange } from './endpoint.ts';
import { shown } from './problem.ts';

/** How much of a long lane a message names. */
const PREFIXES_NAMED_MAX = 6;

/** A unix socket never leaves the machine and is inside every lane; a wildcard is inside only where the whole family is. */
export function isInside(
  lane: readonly Prefix[],
  endpoint: Pick<EndpointRange & { kind: 'tcp' }, 'kind' | 'address'> | { kind: 'unix' },
): boolean {
  if (endpoint.kind === 'unix') return true;
  const { address } = endpoint;
  if (isWildcard(address)) return lane.some((prefix) => prefix.family === address.family && prefix.bits === 0);
  return lane.some((prefix) => prefixContains(prefix, address));
}

/** What a lane promises, for messages. */
const PROMISES = {
  inbound: 'VIPs may be bound only there',
  outbound: 'servers may be dialled only there',
} as const;

export function outsideLane(networks: Networks, lane: keyof typeof PROMISES, what: string, text: string, wildcard: boolean): string {
  const prefixes = networks[lane];
  const named = prefixes.slice(0, PREFIXES_NAMED_MAX).map(formatPrefix).join(', ') + (prefixes.length > PREFIXES_NAMED_MAX ? ', …' : '');
  const holds =
    prefixes === LANE_DEFAULT
      ? `is not written and so holds loopback only (${named})`
      : prefixes.length === 0
        ? 'is empty'
        : `holds ${named}`;
  const remedy = wildcard
    ? `A wildcard takes every address of the machine: write the addresses one by one, or put ${text.startsWith('[') ? '"::/0"' : '0.0.0.0/0'} into networks.${lane}.`
    : `Put its network into networks.${lane}, or correct the address.`;
  return `The ${what} ${shown(text)} is outside networks.${lane}, which ${holds}; ${PROMISES[lane]}. ${remedy}`;
}
