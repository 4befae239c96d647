/**
 * The document: what a file says once it has been parsed, checked and given its defaults. Everything is resolved to the units that
 * the code works in (milliseconds, bytes, numeric addresses); every name is known to exist. A document is never changed.
 */
import type { Address, Prefix } from './address.ts';
import type { TokenIssuer } from './jwt.ts';
import type { DatabaseMatch, HttpMatch, OnRevoke, TlsMatch } from './match.ts';
import type { Place } from './place.ts';
import type { Ejection, HealthCheck, Retries } from './pool-settings.ts';
import type { ProtocolSet } from './protocols.ts';
import type { ProxyProtocolIn, ProxyProtocolOut } from './proxy-protocol.ts';
import type { Route } from './route.ts';
import type { ApplicationTls, ServerTls } from './tls.ts';

export type { Ejection, HealthCheck, Place, Retries };

/** Something wrong (or doubtful) in a file. An `error` refuses the file; a `warning` doesn't. */
export interface Problem {
  /** Stable, kebab-case: `unknown-key`, `wrong-type`, `dangling-name`, `duplicate-key`, `outside-lane`, … */
  readonly code: string;
  readonly severity: 'error' | 'warning';
  /** Key path as a JSON pointer: `/applications/shop/rules/0/from`. */
  readonly path: string;
  readonly place: Place | null;
  /** What is wrong, and what to do about it: one or two sentences for the person who wrote the file. */
  readonly message: string;
  /** The nearest right spelling, where there is one. */
  readonly suggestion?: string;
  /** A flow that shows it, where there is one. */
  readonly witness?: FlowQuestion;
}

/** A socket address that something listens on or dials. */
export type Endpoint =
  | { readonly kind: 'tcp'; readonly address: Address; readonly port: number; readonly text: string }
  | { readonly kind: 'unix'; readonly path: string; readonly text: string };

/** Where servers are that a name stands for. Lower case, without a dot at the end; `text` is the name with its port. */
export interface NamedEndpoint {
  readonly kind: 'name';
  readonly host: string;
  readonly port: number;
  readonly text: string;
}

export interface Document {
  readonly version: 1;
  readonly process: ProcessSettings;
  readonly networks: Networks;
  readonly segments: readonly Segment[];
  readonly pools: readonly Pool[];
  readonly applications: readonly Application[];
  readonly guardrails: readonly Rule[];
  readonly baseline: readonly Rule[];
  readonly tests: readonly FlowTest[];
  /** Findings of `check` that are all right everywhere in the file. */
  readonly silence?: readonly Silence[];
  /** The same document as plain data with the keys that people write, defaults not filled in: for the API and for printing. */
  readonly source: unknown;
}

/** Read once at start; a reload that changes it says that a restart is needed. */
export interface ProcessSettings {
  readonly node: string;
  /** How many threads carry traffic (`auto` is resolved to the number of cores). */
  readonly workers: number;
  /** null where `admin: off`. */
  readonly admin: Endpoint | null;
  /** Who may use the admin endpoint over a network address, and for what. */
  readonly adminTokens: readonly AdminToken[];
  /** null: the admin endpoint speaks plain HTTP, which it may do on this machine only. */
  readonly adminTls: AdminTls | null;
  /** Folder for journal and versions; null where `state: off`. */
  readonly state: string | null;
  /** `ageMs` null: records stay as long as the size allows. */
  readonly journal: { readonly sizeBytes: number; readonly segmentBytes: number; readonly ageMs: number | null };
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent' };
  /** What clients are told of a failure behind the proxy: `brief`: which, and the receipt; `full`: the server and what became of it as well. */
  readonly answers: Answers;
  /** Connections open at once, over all applications. */
  readonly connections: number;
  /** MaxMind-format files, as written; null where none is named. */
  readonly geo: { readonly country: string | null; readonly asn: string | null };
  /** DNS servers (`address:port`, brackets around IPv6) that are asked for the names of segments and servers; empty: those of the machine. */
  readonly resolvers: readonly string[];
}

export const ANSWERS = ['brief', 'full'] as const;
export type Answers = (typeof ANSWERS)[number];

/** PEM files, as written. They are read again when they change. */
export interface AdminTls {
  /** The chain, the certificate of the endpoint first. */
  readonly certificate: string;
  readonly key: string;
}

/** What a token may do; each role may do all that the one before it may. */
export const ADMIN_ROLES = ['viewer', 'operator', 'admin'] as const;
export type AdminRole = (typeof ADMIN_ROLES)[number];

export interface AdminToken {
  readonly name: string;
  readonly role: AdminRole;
  /** SHA-256 of the token: 64 hexadecimal digits in lower case. */
  readonly sha256: string;
}

/** The three lanes. An empty lane allows nothing. */
export interface Networks {
  readonly inbound: readonly Prefix[];
  readonly outbound: readonly Prefix[];
  readonly cluster: readonly Prefix[];
}

export interface Segment {
  readonly name: string;
  readonly addresses: readonly Prefix[];
  /** Pools whose servers' addresses belong to the segment. */
  readonly pools: readonly string[];
  /** Other segments, all of whose members belong. */
  readonly segments: readonly string[];
  /** Countries (ISO 3166-1 alpha-2, upper case) and autonomous systems, whose prefixes the databases of `process.geo` know. */
  readonly countries: readonly string[];
  readonly asns: readonly number[];
  /** Host names, lower case, whose addresses belong. */
  readonly dns: readonly string[];
  /** Patterns of identities (see identity.ts): whoever has proved to be one of these belongs, whatever the address. */
  readonly identities: readonly string[];
  /**
   * What holds while a country, a system or a name is not known. `deny`: rules that allow find nobody there, and rules that deny find
   * everybody, so that nothing passes for want of knowledge. `ignore`: nobody is there, for either.
   */
  readonly unknown: 'deny' | 'ignore';
  /** What is taken away again. */
  readonly except: readonly SourceTerm[];
  readonly place: Place;
}

/** One entry of `from` or `except`. */
export type SourceTerm =
  | { readonly kind: 'any' }
  | { readonly kind: 'segment'; readonly name: string }
  /** A pool named where a segment may be: its servers' addresses. */
  | { readonly kind: 'pool'; readonly name: string }
  | { readonly kind: 'prefix'; readonly prefix: Prefix };

export type Balance = 'round-robin' | 'least-connections' | 'random-two' | 'source-hash' | 'maglev';

export type ServerProtocol = 'http' | 'h2';

export interface Pool {
  readonly name: string;
  readonly balance: Balance;
  readonly servers: readonly Server[];
  /** Servers by name: every address that a name has is one. Absent: there are none. */
  readonly names?: readonly NamedServer[];
  /** What an operator said, beside the file, of single addresses that names have. */
  readonly apart?: ReadonlyMap<string, 'drain' | 'maintenance'>;
  readonly health: HealthCheck | null;
  readonly ejection: Ejection | null;
  readonly retries: Retries;
  /** Kept-alive connections to one server that a worker holds when idle, and for how long. */
  readonly idleConnections: number;
  readonly idleTimeoutMs: number;
  /** What the servers speak in mode http: `http` is HTTP/1.1. */
  readonly protocol: ServerProtocol;
  /** Absent: its servers get none. */
  readonly proxyProtocol?: ProxyProtocolOut;
  /** Absent: its servers are spoken to in the clear. */
  readonly tls?: ServerTls;
  readonly place: Place;
}

export interface Server {
  readonly endpoint: Endpoint;
  /** 0 to 256; 0 takes no new flows. */
  readonly weight: number;
  /** `drain: true`: takes no new flows, keeps the ones it has. */
  readonly drain: boolean;
  /** Said by an operator beside the file: drained, and not checked. */
  readonly maintenance?: true;
  /** Where the file has a name: whose address this is. Checks and TLS ask for the name. */
  readonly named?: NamedEndpoint;
  /** The name has this address no longer. */
  readonly leaving?: true;
  readonly place: Place;
}

export interface NamedServer extends Omit<Server, 'endpoint' | 'named' | 'leaving'> {
  readonly endpoint: NamedEndpoint;
}

export type Mode = 'http' | 'tcp';

export interface Application {
  readonly name: string;
  readonly vips: readonly Vip[];
  readonly mode: Mode;
  readonly pool: string;
  /** In order: the first that matches an allowed flow says where it goes. */
  readonly routes: readonly Route[];
  /** Proxies in front, whose word on forwarded requests counts. */
  readonly trusted: readonly Prefix[];
  /** Issuers of tokens that requests may bring. */
  readonly tokens: readonly TokenIssuer[];
  readonly enforcement: 'enforce' | 'observe';
  readonly rules: readonly Rule[];
  readonly timeouts: Timeouts;
  readonly limits: Limits;
  /** Absent: nobody's PROXY header is believed. */
  readonly proxyProtocol?: ProxyProtocolIn;
  /** Absent: bytes are taken as they come. */
  readonly tls?: ApplicationTls;
  readonly place: Place;
}

/** One listening address. A port range in the file becomes one VIP a port. */
export interface Vip {
  readonly endpoint: Endpoint;
  readonly place: Place;
}

/** All in milliseconds; null means without bound. */
export interface Timeouts {
  /** Dialling one server. */
  readonly connect: number;
  /** No byte either way: a TCP flow, or an upgraded one. */
  readonly idle: number;
  /** The whole life of a TCP flow or an upgraded one. */
  readonly total: number | null;
  /** One side has ended, the other hasn't: how long it may take. */
  readonly halfClosed: number;
  /** TLS: from accept (or the PROXY header) to the end of the handshake. */
  readonly handshake: number;
  /** Waiting for the first bytes that tell a protocol. */
  readonly detect: number;
  /** http: from the first byte of a request head to its end. */
  readonly requestHead: number;
  /** http: between two reads of a request body. */
  readonly requestBody: number;
  /** http: from the end of a request to the first byte of its response, and between two reads of a response. */
  readonly response: number;
  /** http: an idle client connection between requests. */
  readonly keepAlive: number;
}

export interface Limits {
  /** Connections of this application at once; null: only the process-wide cap. */
  readonly connections: number | null;
  /** Connections of this application from one source address at once. */
  readonly connectionsPerSource: number | null;
  /** http: bytes of a request or response head, its number of fields, bytes of a request target. */
  readonly headBytes: number;
  readonly headFields: number;
  readonly targetBytes: number;
  /** http: requests at once on one HTTP/2 connection. */
  readonly streams: number;
}

export type Action = 'allow' | 'deny' | 'pass';

export interface Rule {
  readonly name: string;
  readonly action: Action;
  /** Absent in the file: any source. */
  readonly from: readonly SourceTerm[];
  readonly except: readonly SourceTerm[];
  /** Port ranges of the VIP, both ends included; null: every port. */
  readonly ports: readonly (readonly [number, number])[] | null;
  /** null: every protocol. */
  readonly protocols: ProtocolSet | null;
  readonly http: HttpMatch | null;
  readonly tls: TlsMatch | null;
  /** Patterns of identities, of which the flow must have one; null: whoever it is. */
  readonly identities: readonly string[] | null;
  /** A rule that speaks of a database is for its protocol alone. */
  readonly database: DatabaseMatch | null;
  /** From this moment on (milliseconds since 1970) the rule no longer holds; null: it never ends. */
  readonly until: number | null;
  readonly schedule: Schedule | null;
  /** It decides and is counted, but is not enforced: the rules after it decide. */
  readonly shadow: boolean;
  /** Every flow that it decides is logged. */
  readonly log: boolean;
  /** What a client that it denies gets; null: what INTERFACE.md says for the mode. */
  readonly denyWith: DenyWith | null;
  /** What becomes of open flows when they are no longer allowed: said by the rule that denies them now, or where none does by the one that admitted them; null: cut. */
  readonly onRevoke: OnRevoke | null;
  readonly limits: RuleLimits | null;
  /** Findings of `check` about this rule that are all right. */
  readonly silence?: readonly Silence[];
  readonly place: Place;
}

/** A finding that people know about. */
export interface Silence {
  readonly code: string;
  readonly reason: string;
}

/** What a rule is that says no more than name, action and sources. */
export const PLAIN_RULE = {
  ports: null,
  protocols: null,
  http: null,
  tls: null,
  identities: null,
  database: null,
  until: null,
  schedule: null,
  shadow: false,
  log: false,
  denyWith: null,
  onRevoke: null,
  limits: null,
} as const;

export const DENY_WITH = ['reset', 'close', 'reply', 'tarpit'] as const;
export type DenyWith = (typeof DENY_WITH)[number];

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof DAYS)[number];

/** When a rule holds, by the clocks of a time zone. */
export interface Schedule {
  /** In the order of the week. Hours that go over midnight belong to the day on which they begin. */
  readonly days: readonly Day[];
  /** Minutes of the day, the end not included; an end at or before its beginning is on the next day. */
  readonly hours: readonly (readonly [number, number])[];
  /** IANA name. */
  readonly timeZone: string;
}

/** For whom a limit counts: each source address, each segment of `from`, or all flows that the rule allows together. */
export type LimitScope = 'source' | 'segment' | 'all';

/** A communication pattern. null: without bound. */
export interface RuleLimits {
  readonly per: LimitScope;
  /** Flows at once. */
  readonly flows: number | null;
  /** Flows begun, requests and bytes (both ways), per time. */
  readonly newFlows: Rate | null;
  readonly requests: Rate | null;
  readonly bytes: Rate | null;
  /** Bytes of one flow in all, both ways. */
  readonly bytesTotal: number | null;
  /** The longest life of one flow. */
  readonly durationMs: number | null;
}

/** `amount` in every `perMs`. */
export interface Rate {
  readonly amount: number;
  readonly perMs: number;
}

/** A flow with what is expected of it. */
export interface FlowTest {
  readonly flow: FlowQuestion;
  readonly expect: 'allow' | 'deny';
  /** The name of the deciding rule, `default` for none; null: not asserted. */
  readonly by: string | null;
  readonly place: Place;
}

/** A flow as people describe one, in a test, a batch line, or on the command line. */
export interface FlowQuestion {
  readonly from: Address;
  /** A VIP: address and port, or unix socket. */
  readonly to: Endpoint;
  /** 0: not said. */
  readonly protocols: ProtocolSet;
  readonly method: string | null;
  readonly host: string | null;
  readonly path: string | null;
  /** Fields of the request; names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** What the ClientHello says. Where all three say nothing, nothing was said of TLS. */
  readonly sni: string | null;
  readonly alpn: readonly string[];
  readonly ja4: string | null;
  /** null: not said; empty: nobody. */
  readonly identities: readonly string[] | null;
  /** Of a flow to a database; null: not said. */
  readonly user: string | null;
  readonly database: string | null;
  readonly schema: string | null;
  readonly command: string | null;
  readonly keys: readonly string[] | null;
  /** The moment of the flow, in milliseconds since 1970; null: now. */
  readonly at: number | null;
}
