/**
 * Kinds of flows by what they speak, one bit each: bit i stands for flows of PROTOCOLS[i], and one more for WebSockets over HTTP/2. What is
 * found on a flow of a kind depends on the mode of the application (config/protocols.ts), so what rules speak of does as well.
 */
import type { Application } from '../../config/document.ts';
import { H2, HTTP, PROTOCOLS, type ProtocolSet, protocolNames, protocolsOn, REQUEST_PROTOCOLS, WEBSOCKET } from '../../config/protocols.ts';
import { ALL_PROTOCOLS } from '../outcome.ts';

export type Kinds = number;
type Mode = Application['mode'];

/** RFC 8441. Where only bytes are seen it is HTTP/2 like any other. */
export const WEBSOCKET_OVER_H2: Kinds = 1 << PROTOCOLS.length;

export const ALL_KINDS: Kinds = ALL_PROTOCOLS | WEBSOCKET_OVER_H2;

/** Kinds whose flows are made of requests: all that there are in mode http. */
export const REQUEST_KINDS: Kinds = REQUEST_PROTOCOLS | WEBSOCKET_OVER_H2;

/** The kinds that flows to applications of these modes can be. */
export function kindsIn(modes: readonly Mode[]): Kinds {
  if (modes.every((mode) => mode === 'http')) return REQUEST_KINDS;
  return modes.includes('http') ? ALL_KINDS : ALL_PROTOCOLS;
}

/** The protocols that a flow of a kind is asked about by. */
function named(kind: Kinds): ProtocolSet {
  return kind === WEBSOCKET_OVER_H2 ? WEBSOCKET | H2 : kind;
}

const KINDS: readonly Kinds[] = Array.from({ length: PROTOCOLS.length + 1 }, (_, bit) => 1 << bit);

/** The kinds that a rule for these protocols speaks of; null is every protocol. */
export function kindsOf(protocols: ProtocolSet | null, mode: Mode): Kinds {
  if (protocols === null) return ALL_KINDS;
  return KINDS.reduce((kinds, kind) => ((protocolsOn(mode, named(kind)) & protocols) === 0 ? kinds : kinds | kind), 0);
}

/** A flow of the first of these kinds, as a question says it. */
export function protocolsOfFirst(kinds: Kinds): ProtocolSet {
  // A plain request is the better example than an upgrade or HTTP/2.
  return named(kinds & HTTP ? HTTP : kinds & -kinds);
}

/** Kinds as they are told, of all that there can be: where these are all of them, whatever the mode, and where WebSockets are only of one sort. */
export function toldKinds(kinds: Kinds, all: Kinds): Kinds {
  if ((kinds & all) === all) return ALL_KINDS;
  return (all & WEBSOCKET_OVER_H2) === 0 && (kinds & WEBSOCKET) !== 0 ? kinds | WEBSOCKET_OVER_H2 : kinds;
}

export function kindNames(kinds: Kinds): string[] {
  const overH2 = (kinds & WEBSOCKET_OVER_H2) !== 0;
  const names = protocolNames(kinds).map((name) => (name === 'websocket' && !overH2 ? 'websocket over http/1.1' : name));
  return overH2 && (kinds & WEBSOCKET) === 0 ? [...names, 'websocket over h2'] : names;
}

/** `any protocol`, a few names, or every name but a few: whichever is shortest. */
export function kindsText(kinds: Kinds): string {
  if (kinds === ALL_KINDS) return 'any protocol';
  const names = kindNames(kinds);
  if (names.length <= PROTOCOLS.length / 2) return names.join(', ');
  return `any protocol but ${kindNames(ALL_KINDS & ~kinds).join(', ')}`;
}
