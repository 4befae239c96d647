/**
 * A connection as it comes to the session that carries it: accepted, with its place under the caps, and with what the stages before have
 * learnt of its client. Made once a connection, never changed.
 */
import type { ProtocolSet } from '../../config/protocols.ts';
import { type ConnectionFacts, NO_TLS } from '../../policy/connection.ts';
import type { HostPort } from '../arrival/proxied.ts';
import type { SourceWords } from '../balance/pool.ts';
import type { PlannedApplication } from '../node/plan.ts';
import type { CertificateId } from '../tls/revocation-list.ts';
import type { StreamHandle } from '../wire/native.ts';
import type { ListenerPlace } from './session.ts';

export interface Arrival {
  /** Whose bytes the session reads: the socket, or what decrypts it. */
  readonly handle: StreamHandle;
  readonly listener: ListenerPlace;
  readonly application: PlannedApplication;
  /** The client: the peer, or whom a trusted peer names in a PROXY header. */
  readonly source: SourceWords;
  /** False for a unix socket: matched by rules for any alone. */
  readonly hasAddress: boolean;
  /** The source without a port; empty where it has no address. */
  readonly address: string;
  /** `address:port`, as in records. */
  readonly sourceText: string;
  /** 0 where it has no address. */
  readonly sourcePort: number;
  /** Where the client connected to, as it or a trusted peer sees it; null for a unix socket. */
  readonly destination: HostPort | null;
  /** Bytes of the client that were read already and are the session's first; null for none. Its own memory. */
  readonly early: Buffer | null;
  /** What a TLS client said in its hello; null where no stage before has read one. */
  readonly tls: TlsFacts | null;
  /** Who the client has shown itself to be, each as `kind:value`; empty for nobody. */
  readonly identities: readonly string[];
  /** Of a stream of HTTP/2 that is carried as a connection; null for a connection. The session has the connection's place under the caps. */
  readonly stream: StreamSpeech | null;
}

/** What a stream speaks, for as long as the request that it carries is under way. */
export interface StreamSpeech {
  protocols: ProtocolSet;
}

/** A TLS client's hello, and what became of it. */
export interface TlsFacts {
  /** Lower case, without a dot at the end; null where the client named none. */
  readonly sni: string | null;
  /** Protocols that the client offered. */
  readonly alpn: readonly string[];
  readonly ja4: string;
  /** Decrypted here. False: passed through. */
  readonly terminated: boolean;
  /** What was agreed on; null where passed through, or where no protocol was. */
  readonly version: string | null;
  readonly cipher: string | null;
  readonly agreed: string | null;
  /** Of the client; null where it has shown none. */
  readonly certificate: CertificateId | null;
}

/** What a connection is that nothing was learnt of. */
export const PLAIN_ARRIVAL = { early: null, tls: null, identities: [], stream: null } as const;

/** What rules can ask of a connection. One whose hello no stage has read has none that counts. */
export function connectionOf({ tls, identities }: Arrival): ConnectionFacts {
  return { tls: tls ?? NO_TLS, identities };
}
