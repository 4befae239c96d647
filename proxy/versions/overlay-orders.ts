/** Orders that change what holds beside the document: whom they speak of is looked up, and what cannot be is refused with the reason. */
import { formatPrefix, parsePrefix } from '../../config/address.ts';
import type { Document } from '../../config/document.ts';
import { nearest } from '../../config/spelling.ts';
import type { ServerState as ShownServer } from '../observe/view.ts';
import type { Refused } from './orders.ts';
import type { Overlay, Quarantine, ServerOverride, ServerState } from './record.ts';

/** Each is a rule that every worker compiles and every flow passes. */
const QUARANTINES_MAX = 1_000;
const SERVERS_MAX = 1_000;

export type Change<T> =
  | { readonly ok: true; readonly overlay: Overlay; readonly note: string; readonly item: T }
  | { readonly ok: false; readonly refused: Refused };

export interface QuarantineWish {
  /** An address, a prefix, or the name of a segment. */
  readonly target: string;
  readonly forMs: number;
  readonly reason: string;
  readonly author: string;
  readonly number: number;
  readonly now: number;
}

/** A target that is cut off already gets the new time and reason under its old name. */
export function addQuarantine(overlay: Overlay, document: Document, wish: QuarantineWish): Change<Quarantine> {
  const target = targetOf(wish.target, document);
  if (target === null) {
    const suggestion = nearest(
      wish.target,
      document.segments.map(({ name }) => name),
    );
    const near = suggestion === undefined ? '' : ` Did you mean ${suggestion}?`;
    return refuse('no-such-source', `${wish.target} is neither an address, a prefix nor a segment of the document in force.${near}`);
  }
  const others = overlay.quarantines.filter((other) => other.target.kind !== target.kind || other.target.text !== target.text);
  if (others.length >= QUARANTINES_MAX)
    return refuse('too-many', `${QUARANTINES_MAX} quarantines are in force, and no more can be: release some, or quarantine a prefix.`);
  const known = overlay.quarantines.find((other) => !others.includes(other));
  const { author, reason, now, forMs } = wish;
  const item = { name: known?.name ?? `quarantine-${wish.number}`, target, reason, author, since: now, until: now + forMs };
  const note = `${item.name}: ${target.text} until ${new Date(item.until).toISOString()}: ${reason}`;
  return { ok: true, overlay: { ...overlay, quarantines: [...others, item] }, note, item };
}

/** `name` is that of the quarantine, or its target. */
export function removeQuarantine(overlay: Overlay, name: string): Change<Quarantine> {
  const prefix = parsePrefix(name);
  const text = prefix === null ? name : formatPrefix(prefix);
  const item = overlay.quarantines.find((quarantine) => quarantine.name === name || quarantine.target.text === text);
  if (item === undefined) {
    const names = overlay.quarantines.slice(0, 5).map((quarantine) => `${quarantine.name} (${quarantine.target.text})`);
    const rest = names.length === 0 ? 'none is in force' : `in force are ${names.join(', ')}${overlay.quarantines.length > 5 ? ', …' : ''}`;
    return refuse('no-such-quarantine', `There is no quarantine ${name}: ${rest}.`);
  }
  const quarantines = overlay.quarantines.filter((other) => other !== item);
  return { ok: true, overlay: { ...overlay, quarantines }, note: `${item.name} (${item.target.text}) is released`, item };
}

/** `shown`: what the node has now; a server by name can be set apart by its name, or one address of it by that. */
export function addServer(
  overlay: Overlay,
  document: Document,
  shown: readonly Pick<ShownServer, 'pool' | 'server'>[],
  { pool, server, state }: { readonly pool: string; readonly server: string; readonly state: ServerState },
  author: string,
  now: number,
): Change<ServerOverride | null> {
  const texts = new Set([
    ...document.pools.flatMap(({ name, servers, names = [] }) => [...servers, ...names].map(({ endpoint }) => `${name}/${endpoint.text}`)),
    ...shown.map((one) => `${one.pool}/${one.server}`),
    // An address that its name has no longer can be put back.
    ...overlay.servers.map((one) => `${one.pool}/${one.server}`),
  ]);
  if (!texts.has(`${pool}/${server}`)) {
    const near = nearest(`${pool}/${server}`, [...texts]);
    const remedy = near === undefined ? `pools and servers are listed by bulkhead status` : `did you mean ${near}?`;
    return refuse('no-such-server', `The document in force has no server ${pool}/${server}: ${remedy}`);
  }
  const others = overlay.servers.filter((other) => other.pool !== pool || other.server !== server);
  if (state === 'up') return { ok: true, overlay: { ...overlay, servers: others }, note: `${pool}/${server}: up`, item: null };
  if (others.length >= SERVERS_MAX)
    return refuse('too-many', `${SERVERS_MAX} servers are set apart, and no more can be: change the document.`);
  const item = { pool, server, state, author, since: now };
  return { ok: true, overlay: { ...overlay, servers: [...others, item] }, note: `${pool}/${server}: ${state}`, item };
}

function targetOf(text: string, document: Document): Quarantine['target'] | null {
  if (document.segments.some(({ name }) => name === text)) return { kind: 'segment', text };
  const prefix = parsePrefix(text);
  return prefix === null ? null : { kind: 'address', text: formatPrefix(prefix) };
}

function refuse(code: Refused['code'], message: string): { readonly ok: false; readonly refused: Refused } {
  return { ok: false, refused: { ok: false, code, message } };
}
