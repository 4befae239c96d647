/** A flow as people describe one, completed to the facts that `decide` wants. */
import { formatAddress, formatHostPort } from '../config/address.ts';
import type { FlowQuestion } from '../config/document.ts';
import { HTTP, type ProtocolSet, protocolBit, protocolsOn, UNKNOWN } from '../config/protocols.ts';
import { type ConnectionFacts, NO_TLS, type TlsFacts } from './connection.ts';
import { type Decision, decide, kindOf, NEED_IDENTITY, NEED_PROTOCOL, NEED_REQUEST, NEED_TLS } from './decide.ts';
import { fieldsOf } from './header-lookup.ts';
import type { Image } from './image.ts';
import { atomOf } from './lookup.ts';
import { pathFacts } from './readings.ts';
import { normaliseHost, type RequestFacts } from './request.ts';

/** A fact that a verdict depends on and that was not said. */
export type Need = 'tls' | 'protocol' | 'identities' | 'request';

type Known<T> = { readonly [Key in keyof T]: NonNullable<T[Key]> };

export interface Facts {
  readonly vip: number;
  readonly atom: number;
  /** 0: not said, and the verdict is the same whatever it is. */
  readonly protocols: ProtocolSet;
  /** null where the flow is none that asks for anything. */
  readonly request: RequestFacts | null;
  readonly connection: Known<ConnectionFacts>;
  /** The verdict depends on these, and they are taken to be plain: no TLS, an unknown protocol, nobody, nothing that can be told. */
  readonly assumed: readonly Need[];
}

/** The facts of a question; null where no VIP listens at its address. */
export function factsOf(image: Image, question: FlowQuestion): Facts | null {
  const vip = vipOf(image, question);
  if (vip < 0) return null;
  const atom = atomOf(image, ...question.from.words);
  const mode = image.applicationMode(image.vipApplication(vip));
  const said = protocolsOn(mode, question.protocols);
  const known = { vip, atom, connection: { tls: tlsOf(question), identities: question.identities } };
  if (mode !== 'http') return assuming(image, { ...known, protocols: said, request: queryOf(question), assumed: [] });
  const request = {
    kind: 'http' as const,
    method: question.method ?? 'GET',
    host: normaliseHost(question.host ?? hostOf(question)),
    ...pathFacts(question.path ?? '/'),
    headers: fieldsOf(question.headers),
  };
  return assuming(image, { ...known, protocols: said === 0 ? HTTP : said, request, assumed: [] });
}

/** What is needed and was not said is taken to be plain, one after the other, and noted. What nothing needs is plain as well. */
function assuming(image: Image, facts: Unfinished): Facts {
  const kind = kindOf(decideFacts(image, facts));
  const and = (need: Need, rest: Partial<Unfinished>): Facts => assuming(image, { ...facts, ...rest, assumed: [...facts.assumed, need] });
  if (kind === NEED_TLS) return and('tls', { connection: { ...facts.connection, tls: NO_TLS } });
  if (kind === NEED_PROTOCOL) return and('protocol', { protocols: UNKNOWN });
  if (kind === NEED_IDENTITY) return and('identities', { connection: { ...facts.connection, identities: [] } });
  if (kind === NEED_REQUEST) return and('request', { request: untold(facts.protocols) });
  const { tls, identities } = facts.connection;
  const request = facts.request ?? ((facts.protocols & DATABASES) === 0 ? null : untold(facts.protocols));
  return { ...facts, request, connection: { tls: tls ?? NO_TLS, identities: identities ?? [] } };
}

/** Facts of which some may not be said yet. */
type Unfinished = Omit<Facts, 'connection'> & { readonly connection: ConnectionFacts };

export function decideFacts(image: Image, { vip, atom, protocols, request, connection }: Omit<Unfinished, 'assumed'>): Decision {
  return decide(image, vip, atom, protocols, request, connection);
}

function tlsOf({ sni, alpn, ja4 }: FlowQuestion): TlsFacts | null {
  return sni === null && alpn.length === 0 && ja4 === null ? null : { sni, alpn, ja4 };
}

const POSTGRES = protocolBit('postgres')!;
const MYSQL = protocolBit('mysql')!;
const REDIS = protocolBit('redis')!;
const DATABASES = POSTGRES | MYSQL | REDIS;

/** What a flow to a database is after; null where nothing of it was said. What was said in part cannot be told of the rest. */
function queryOf({ protocols, user, database, schema, command, keys }: FlowQuestion): RequestFacts | null {
  if (user === null && database === null && schema === null && command === null && keys === null) return null;
  if ((protocols & POSTGRES) !== 0) return { kind: 'postgres', user, database };
  if ((protocols & MYSQL) !== 0) return { kind: 'mysql', user, schema };
  return (protocols & REDIS) !== 0 ? { kind: 'redis', user: user ?? 'default', command, keys } : null;
}

/** A flow to a database of which nothing can be told. */
function untold(protocols: ProtocolSet): RequestFacts {
  if ((protocols & MYSQL) !== 0) return { kind: 'mysql', user: null, schema: null };
  if ((protocols & REDIS) !== 0) return { kind: 'redis', user: 'default', command: null, keys: null };
  return { kind: 'postgres', user: null, database: null };
}

/** An address is found under its own VIP, or under one that listens on every address of that port. */
function vipOf(image: Image, { to }: FlowQuestion): number {
  if (to.kind === 'unix') return image.vipIndex(to.text);
  // The wildcards are apart: [::] takes no IPv4 connection, and 0.0.0.0 no IPv6 one.
  const wildcard = to.address.family === 4 ? `0.0.0.0:${to.port}` : `[::]:${to.port}`;
  const texts = [formatHostPort(to.address, to.port), to.text, wildcard];
  return texts.map((text) => image.vipIndex(text)).find((vip) => vip >= 0) ?? -1;
}

function hostOf({ to }: FlowQuestion): string {
  if (to.kind === 'unix') return 'localhost';
  return to.address.family === 6 ? `[${formatAddress(to.address)}]` : formatAddress(to.address);
}
