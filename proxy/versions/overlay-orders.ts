/** Orders that change what holds beside the document: whom they speak of is looked up, and what cannot be is refused with the reason. */
import { formatPrefix, type Prefix, parsePrefix } from '../../config/address.ts';
import type { Document } from '../../config/document.ts';
import { nearest } from '../../config/spelling.ts';
import type { ServerState as ShownServer } from '../observe/view.ts';
import type { Refused } from './orders.ts';
import type { Overlay, Quarantine, ServerOverride, ServerState } from './record.ts';

/** Each is a rule that every worker compiles and every flow passes. */
const QUARANTINES_MAX = 1_000;
const SERVERS_MAX = 1_000;
/** Wider than this it is a slip of the hand more often than an emergency: 0.4 % of IPv4, and what one provider is given of IPv6. */
const WIDE_BITS: Readonly<Record<Prefix['family'], number>> = { 4: 8, 6: 32 };

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
  /** It may be wide. */
  readonly wide?: boolean;
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
  const wide = wish.wide ? undefined : widePrefix(target, document);
  if (wide !== undefined) {
    const most = `/${WIDE_BITS[wide.family]} of IPv${wide.family}`;
    const what = target.kind === 'segment' ? `The segment ${target.text} holds ${formatPrefix(wide)}, which` : formatPrefix(wide);
    return refuse('too-wide', `${what} is more than a ${most}: look at whom it cuts off (--dry-run), and say --yes if that is meant.`);
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

/**
 * The overlay is the very same where nothing is changed. `shown`: what the node has now; a server by name can be set apart by its name, or one address of it
 * by that.
 */
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
  const known = overlay.servers.find((other) => !others.includes(other));
  const note = `${pool}/${server}: ${state}`;
  if ((known?.state ?? 'up') === state) return { ok: true, overlay, note, item: known ?? null };
  if (state === 'up') return { ok: true, overlay: { ...overlay, servers: others }, note, item: null };
  if (others.length >= SERVERS_MAX)
    return refuse('too-many', `${SERVERS_MAX} servers are set apart, and no more can be: change the document.`);
  const item = { pool, server, state, author, since: now };
  return { ok: true, overlay: { ...overlay, servers: [...others, item] }, note, item };
}

function targetOf(text: string, document: Document): Quarantine['target'] | null {
  if (document.segments.some(({ name }) => name === text)) return { kind: 'segment', text };
  const prefix = parsePrefix(text);
  return prefix === null ? null : { kind: 'address', text: formatPrefix(prefix) };
}

/** What is too wide to be cut off unasked: the prefix, or one that the segment is written with. */
function widePrefix(target: Quarantine['target'], document: Document): Prefix | undefined {
  const prefixes =
    target.kind === 'address' ? [parsePrefix(target.text)!] : (document.segments.find(({ name }) => name === target.text)?.addresses ?? []);
  return prefixes.find(({ family, bits }) => bits < WIDE_BITS[family]);
}

function refuse(code: Refused['code'], message: string): { readonly ok: false; readonly refused: Refused } {
  return { ok: false, refused: { ok: false, code, message } };
}
