/** Flows that happened, or that are live, put to another policy: what it would have said of each. Decides by the same function as everything else. */
import type { FlowQuestion } from '../config/document.ts';
import { parseEndpoint } from '../config/endpoint.ts';
import { H2, HTTP, protocolBit, WEBSOCKET } from '../config/protocols.ts';
import { explain } from './explain.ts';
import type { Image, Tier } from './image.ts';

/** What the journal and the live table know of a flow. */
export interface KnownFlow {
  readonly application: string;
  /** `address:port`. */
  readonly source: string;
  readonly vip: string;
  readonly protocol: string | null;
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  /** What of the connection and of a database was known. Absent: it is not known. */
  readonly sni?: string | null;
  readonly alpn?: string | null;
  readonly ja4?: string | null;
  readonly identities?: readonly string[];
  readonly user?: string | null;
  readonly database?: string | null;
  readonly schema?: string | null;
  readonly command?: string | null;
  readonly keys?: readonly string[];
}

export interface Replayed {
  /** `unknown`: the verdict depends on what isn't known of the flow yet, or its addresses could not be read. */
  readonly verdict: 'allow' | 'deny' | 'unknown';
  /** Whose VIP it is under this policy; null where nobody listens there any more. */
  readonly application: string | null;
  readonly rule: string;
  readonly tier: Tier;
  readonly at: string | null;
}

const UNREAD: Replayed = { verdict: 'unknown', application: null, rule: 'default', tier: 'default', at: null };

/** `atMs` is the moment of the flow; null: now. A flow whose VIP belongs to another application now is denied: it has lost what it came for. */
export function replay(image: Image, flow: KnownFlow, atMs: number | null): Replayed {
  const question = questionOfFlow(flow, atMs);
  if (question === null) return UNREAD;
  const { verdict, application, rule, tier, at, needs } = explain(image, question);
  if (needs !== undefined || isOtherwiseOverH2(image, flow, question, verdict)) return { verdict: 'unknown', application, rule, tier, at };
  return { verdict: application === flow.application ? verdict : 'deny', application, rule, tier, at };
}

/** Without TLS nobody has noted what carried a WebSocket: whether the verdict would be another one over HTTP/2. */
function isOtherwiseOverH2(image: Image, { method, sni, alpn }: KnownFlow, question: FlowQuestion, verdict: Replayed['verdict']): boolean {
  if (method === null || question.protocols !== WEBSOCKET || (alpn ?? sni ?? null) !== null) return false;
  return explain(image, { ...question, protocols: WEBSOCKET | H2 }).verdict !== verdict;
}

/** null where an address cannot be read. A flow over a unix socket has no source address, and is asked about as from 0.0.0.0. */
export function questionOfFlow(flow: KnownFlow, atMs: number | null): FlowQuestion | null {
  const { source, vip, protocol, method, host, path } = flow;
  const to = parseEndpoint(vip);
  if (!to.ok) return null;
  const from = source.startsWith('unix') ? parseEndpoint('0.0.0.0:1') : parseEndpoint(source);
  if (!from.ok || from.endpoint.kind !== 'tcp') return null;
  const bit = protocol === null ? 0 : (protocolBit(protocol) ?? 0);
  const {
    sni = null,
    alpn = null,
    ja4 = null,
    identities = null,
    user = null,
    database = null,
    schema = null,
    command = null,
    keys = null,
  } = flow;
  const named = bit === 0 && method !== null ? HTTP : bit;
  // The protocol that was agreed on is the one that carries a WebSocket.
  const protocols = named === WEBSOCKET && alpn === 'h2' ? WEBSOCKET | H2 : named;
  const known = { sni, alpn: alpn === null ? [] : [alpn], ja4, identities, user, database, schema, command, keys };
  return { from: from.endpoint.address, to: to.endpoint, protocols, method, host, path, headers: [], ...known, at: atMs };
}
