/** A flow as people describe one, completed to the facts that `decide` wants. */
import { formatAddress, formatHostPort } from '../config/address.ts';
import type { FlowQuestion } from '../config/document.ts';
import { HTTP, type ProtocolSet, UNKNOWN, WEBSOCKET } from '../config/protocols.ts';
import { type Decision, decide, kindOf, NEED_PROTOCOL } from './decide.ts';
import type { Image } from './image.ts';
import { atomOf } from './lookup.ts';
import { pathFacts } from './readings.ts';
import { type HeaderLookup, normaliseHost, type RequestFacts } from './request.ts';

export interface Facts {
  readonly vip: number;
  readonly atom: number;
  readonly protocols: ProtocolSet;
  /** null in tcp mode. */
  readonly request: RequestFacts | null;
  /** The protocol wasn't said although the verdict depends on it. */
  readonly assumedUnknown: boolean;
}

/** The facts of a question; null where no VIP listens at its address. */
export function factsOf(image: Image, question: FlowQuestion): Facts | null {
  const vip = vipOf(image, question);
  if (vip < 0) return null;
  const atom = atomOf(image, ...question.from.words);
  // A WebSocket begins as a request.
  const said = question.protocols & WEBSOCKET ? question.protocols | HTTP : question.protocols;
  if (image.applicationMode(image.vipApplication(vip)) === 'http') {
    const request = {
      method: question.method ?? 'GET',
      host: normaliseHost(question.host ?? hostOf(question)),
      ...pathFacts(question.path ?? '/'),
      headers: headersOf(question),
    };
    return { vip, atom, protocols: said === 0 ? HTTP : said, request, assumedUnknown: false };
  }
  const assumedUnknown = said === 0 && kindOf(decide(image, vip, atom, 0, null)) === NEED_PROTOCOL;
  return { vip, atom, protocols: assumedUnknown ? UNKNOWN : said, request: null, assumedUnknown };
}

export function decideFacts(image: Image, { vip, atom, protocols, request }: Omit<Facts, 'assumedUnknown'>): Decision {
  return decide(image, vip, atom, protocols, request);
}

/** An address is found under its own VIP, or under one that listens on every address of that port. */
function vipOf(image: Image, { to }: FlowQuestion): number {
  if (to.kind === 'unix') return image.vipIndex(to.text);
  // The wildcards are apart: [::] takes no IPv4 connection, and 0.0.0.0 no IPv6 one.
  const wildcard = to.address.family === 4 ? `0.0.0.0:${to.port}` : `[::]:${to.port}`;
  const texts = [formatHostPort(to.address, to.port), to.text, wildcard];
  return texts.map((text) => image.vipIndex(text)).find((vip) => vip >= 0) ?? -1;
}

/** As the proxy looks them up: `_` in a name is `-`. */
function headersOf({ headers }: FlowQuestion): HeaderLookup {
  return { fieldLines: (name) => headers.filter(([other]) => other === name).map(([, value]) => value) };
}

function hostOf({ to }: FlowQuestion): string {
  if (to.kind === 'unix') return 'localhost';
  return to.address.family === 6 ? `[${formatAddress(to.address)}]` : formatAddress(to.address);
}
