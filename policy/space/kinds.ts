/**
 * Kinds of flows by what they speak, one bit each: bit i stands for flows of PROTOCOLS[i]. A WebSocket begins as a request (RFC 6455 §4.1),
 * so its kind is `http` and `websocket` at once; every other kind is its protocol alone. Nothing else is ever on a flow.
 */
import { HTTP, PROTOCOLS, type ProtocolSet, protocolBit, protocolNames, WEBSOCKET } from '../../config/protocols.ts';
import { ALL_PROTOCOLS } from '../outcome.ts';

export type Kinds = number;

export const ALL_KINDS: Kinds = ALL_PROTOCOLS;

/** Kinds whose flows are made of requests. */
export const REQUEST_KINDS: Kinds = HTTP | WEBSOCKET | protocolBit('h2')! | protocolBit('grpc')!;

/** The kinds that a rule for these protocols speaks of; null is every protocol. */
export function kindsOf(protocols: ProtocolSet | null): Kinds {
  if (protocols === null) return ALL_KINDS;
  return (protocols | (protocols & HTTP ? WEBSOCKET : 0)) & ALL_KINDS;
}

/** What is on a flow of the first of these kinds. */
export function protocolsOfFirst(kinds: Kinds): ProtocolSet {
  // A plain request is the better example than an upgrade or HTTP/2.
  const first = kinds & HTTP ? HTTP : kinds & -kinds;
  return first === WEBSOCKET ? WEBSOCKET | HTTP : first;
}

/** `any protocol`, a few names, or every name but a few: whichever is shortest. */
export function kindsText(kinds: Kinds): string {
  if (kinds === ALL_KINDS) return 'any protocol';
  const names = protocolNames(kinds);
  if (names.length <= PROTOCOLS.length / 2) return names.join(', ');
  return `any protocol but ${protocolNames(ALL_KINDS & ~kinds).join(', ')}`;
}
