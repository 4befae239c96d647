/**
 * What holds on a running node beside its document: quarantines, and servers that are set apart. Whoever asks what the node does now is
 * answered with both; a command that compares documents takes it to hold on both sides, since it outlives a change of the document.
 */
import type { Document, Rule } from '../../config/document.ts';
import type { Explanation } from '../../policy/explain.ts';
import { keptOverlay, type ShownOverlay } from '../admin/shown.ts';
import { conflicts, layOver } from '../versions/overlay.ts';
import { NO_OVERLAY, type Overlay, type Quarantine, type ServerOverride } from '../versions/record.ts';
import { AdminClient, type AdminWords } from './admin-client.ts';
import { printable } from './table.ts';

/** Of the node that the words lead to. */
export async function loadOverlay(words: AdminWords): Promise<Overlay> {
  const client = new AdminClient(words);
  try {
    const { value, status } = await client.ask<ShownOverlay>('GET', '/api/v1/overlay', {}, [200, 404]);
    if (status === 404) return NO_OVERLAY;
    const now = Date.now();
    const { quarantines, servers } = keptOverlay(value);
    return { quarantines: quarantines.filter(({ until }) => until > now), servers };
  } finally {
    await client.close();
  }
}

export interface Laid {
  /** As the node would enforce it. */
  readonly document: Document;
  /** Why the node would not take this document as long as that holds. */
  readonly conflicts: readonly string[];
}

/** A quarantine of a segment that the document does not have is told among the conflicts, and left out. */
export function laidOver(document: Document, overlay: Overlay): Laid {
  const has = ({ target }: Quarantine) => target.kind === 'address' || document.segments.some(({ name }) => name === target.text);
  const quarantines = overlay.quarantines.filter(has);
  const laid = layOver(document, { ...overlay, quarantines });
  // Also one who asks about a later moment is answered rightly.
  const guardrails = laid.guardrails.map((rule, i): Rule => (i < quarantines.length ? { ...rule, until: quarantines[i]!.until } : rule));
  return { document: { ...laid, guardrails }, conflicts: conflicts(document, overlay) };
}

/** The answer with what nobody wrote in the document told as such: the place of a quarantine is no place in a file. */
export function withOverlay(explanation: Explanation, { quarantines }: Overlay): Explanation {
  const placeless = new Map(quarantines.map((quarantine) => [`${quarantine.name}:1:1`, quarantine]));
  const deciding = explanation.at === null ? undefined : placeless.get(explanation.at);
  const { verdict, application, rule, tier, at, reason, needs } = explanation;
  return {
    ...{ verdict, application, rule, tier },
    at: deciding === undefined ? at : null,
    reason: deciding === undefined ? reason : `${reason} ${quarantineSentence(deciding)}`,
    ...(needs === undefined ? {} : { needs }),
    get considered() {
      return explanation.considered.map((one) => (one.at !== null && placeless.has(one.at) ? { ...one, at: null } : one));
    },
    get nearest() {
      return explanation.nearest;
    },
  };
}

function quarantineSentence({ target, author, until, reason }: Quarantine): string {
  return `It is no rule of the document but a quarantine of ${target.text} by ${printable(author)}, until ${new Date(until).toISOString()}: ${printable(reason)}`;
}

/** Servers of these pools that are set apart. */
export function apartIn(pools: readonly string[], { servers }: Overlay): Pick<ServerOverride, 'pool' | 'server' | 'state'>[] {
  return servers.filter(({ pool }) => pools.includes(pool)).map(({ pool, server, state }) => ({ pool, server, state }));
}

/** One line for somebody who compares documents; null where nothing holds beside them. */
export function overlayLine({ quarantines, servers }: Overlay): string | null {
  if (quarantines.length === 0 && servers.length === 0) return null;
  const names = quarantines.slice(0, 5).map(({ name, target }) => `${name} (${target.text})`);
  if (quarantines.length > 5) names.push(`${quarantines.length - 5} more`);
  const parts = [
    ...(names.length === 0
      ? []
      : [`${names.join(', ')} ${quarantines.length === 1 ? 'denies' : 'deny'} on both sides before every rule of a document`]),
    ...(servers.length === 0
      ? []
      : [`${servers.length} ${servers.length === 1 ? 'server is' : 'servers are'} set apart, which changes no verdict`]),
  ];
  return `beside the documents hold on the node: ${parts.join('; ')}`;
}
