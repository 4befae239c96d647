/** Accepts connections on one VIP, within the caps, and hands each to the session that carries it. */
import { type Address, formatHostPort, isWildcard, parseAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import type { HostPort } from '../arrival/proxied.ts';
import { isListedProxy, ProxyStage } from '../arrival/proxy-stage.ts';
import type { SourceWords } from '../balance/pool.ts';
import { ClientSession } from '../h2/client-session.ts';
import { HttpConnection } from '../http/connection.ts';
import { TcpSession } from '../relay/tcp-session.ts';
import * as ledger from '../shared/ledger.ts';
import { TlsStage } from '../tls/tls-stage.ts';
import type { Accepting, Listener } from '../wire/listen.ts';
import type { PeerName, SocketHandle, StreamHandle } from '../wire/native.ts';
import type { Wire } from '../wire/wire.ts';
import { closeFlow, Flow, openFlow, Party } from './account.ts';
import { type Arrival, PLAIN_ARRIVAL } from './arrival.ts';
import type { Context } from './context.ts';
import type { ListenerPlace } from './session.ts';

/** What a unix socket has for a source: no address, matched by rules for any alone. */
const NO_ADDRESS: SourceWords = [0, 0, 0, 0];

export class Acceptor implements Accepting {
  readonly endpoint: Endpoint;
  readonly place: ListenerPlace;
  private readonly context: Context;
  private readonly trouble: (errno: number) => void;
  private listeners: readonly Listener[] = [];
  /** The sockets are not this node's alone: whoever gave them goes on with them. */
  private isShared = false;
  /** What all its clients connect to; null for a unix socket and for a wildcard, of which each connection knows its own. */
  private readonly destination: HostPort | null;
  private readonly name = { address: '', family: '', port: 0 };
  /** When a connection that went no further was recorded last. */
  private recordedAt = Number.NEGATIVE_INFINITY;

  constructor(context: Context, endpoint: Endpoint, vip: number, application: number, trouble: (errno: number) => void) {
    this.context = context;
    this.endpoint = endpoint;
    this.trouble = trouble;
    this.destination = endpoint.kind === 'tcp' && endpoint.port !== 0 && !isWildcard(endpoint.address) ? endpoint : null;
    this.place = { text: endpoint.text, port: endpoint.kind === 'tcp' ? endpoint.port : 0, vip, application, record: null };
  }

  /** What comes by these listeners is accepted here from now on; they are this acceptor's. */
  take(listeners: readonly Listener[], isShared: boolean): void {
    this.listeners = listeners;
    this.isShared = isShared;
    for (const listener of listeners) listener.handTo(this);
  }

  /** Another acceptor has the VIP now, and clients that wait in its queue. */
  handTo(other: Acceptor): void {
    other.take(this.listeners, this.isShared);
    this.listeners = [];
  }

  /** `handedOver`: another process accepts from these sockets now. */
  close(handedOver = false): void {
    for (const listener of this.listeners) listener.close(handedOver || this.isShared);
    this.listeners = [];
  }

  /** The sockets that are this node's to pass on. */
  get sockets(): SocketHandle[] {
    return this.isShared ? [] : this.listeners.map((listener) => listener.socket);
  }

  /** hot: a new connection. */
  accept(handle: StreamHandle): void {
    const { context, place } = this;
    const { policy } = context;
    const application = policy.plan.applications[place.application];
    if (application === undefined || this.listeners.length === 0) {
      if (handle.reset === undefined || handle.reset() !== 0) handle.close();
      return;
    }
    let source = NO_ADDRESS;
    let address = '';
    let text = 'unix';
    let sourcePort = 0;
    let { destination } = this;
    const hasAddress = this.endpoint.kind === 'tcp';
    if (hasAddress) {
      const { name } = this;
      // The client may be gone already.
      if (handle.getpeername!(name) !== 0) {
        handle.close();
        return;
      }
      const parsed = readAddress(name.address);
      source = parsed.words;
      address = parsed.text;
      sourcePort = name.port;
      text = parsed.text.includes(':') ? `[${address}]:${name.port}` : `${address}:${name.port}`;
      if (destination === null) destination = localEnd(handle, name);
    }
    const listed = application.proxyProtocol;
    const isProxy = listed !== null && isListedProxy(listed, source, hasAddress);
    if (listed?.required === true && !isProxy) {
      policy.ledger.limit(place.application, 'proxy-required');
      this.recordRefusal(text, 'not a listed proxy, which alone may come here');
      if (handle.reset === undefined || handle.reset() !== 0) handle.close();
      return;
    }
    // The cap on a source is meant for the client that a proxy names, not for the proxy.
    const perSource = isProxy ? Number.POSITIVE_INFINITY : undefined;
    const refusal = context.caps.claim(application, source, policy.plan.connectionsMax, perSource);
    if (refusal !== null) {
      policy.ledger.limit(place.application, refusal);
      if (handle.reset === undefined || handle.reset() !== 0) handle.close();
      return;
    }
    policy.ledger.add(place.application, ledger.CONNECTIONS_OPENED, 1);
    const arrival: Arrival = {
      ...PLAIN_ARRIVAL,
      handle,
      listener: place,
      application,
      source,
      hasAddress,
      address,
      sourceText: text,
      sourcePort,
      destination,
    };
    if (isProxy) new ProxyStage(context, arrival, begin);
    else begin(context, arrival);
  }

  /** A connection that goes no further: recorded, without a verdict. One a tick, so that who may not even speak fills no journal. */
  private recordRefusal(source: string, reason: string): void {
    const { context, place } = this;
    if (context.clock.coarse === this.recordedAt) return;
    this.recordedAt = context.clock.coarse;
    const flow = new Flow();
    const now = context.clock.now();
    openFlow(context, flow, place.application, -1, -1, now);
    closeFlow(context, flow, place.application, new Party(place, source), null, 'policy', reason, now);
  }

  acceptFailed(errno: number): void {
    this.trouble(errno);
  }
}

/** hot: what comes after the PROXY header, or where there is none. */
function begin(context: Context, arrival: Arrival): void {
  if (arrival.application.tls === null) carry(context, arrival);
  else new TlsStage(context, arrival, carry);
}

/** hot: the session that carries the connection from here on. */
function carry(context: Context, arrival: Arrival): void {
  if (arrival.application.mode !== 'http') new TcpSession(context, arrival);
  else if (arrival.tls?.agreed === 'h2') new ClientSession(context, arrival, null);
  else new HttpConnection(context, arrival, startHttp2);
}

/** The client has begun with the preface of HTTP/2. */
function startHttp2(context: Context, arrival: Arrival, wire: Wire): void {
  new ClientSession(context, arrival, wire);
}

/** The address that a client of a wildcard VIP has connected to. */
function localEnd(handle: StreamHandle, name: PeerName): HostPort | null {
  if (handle.getsockname === undefined || handle.getsockname(name) !== 0) return null;
  const { words } = readAddress(name.address);
  const address: Address = { family: name.address.includes(':') ? 6 : 4, words };
  return { address, port: name.port };
}

/** hot: dotted IPv4 by hand, the rest (IPv6, with the zone that link-local ones carry) by the parser of the file. */
function readAddress(text: string): { words: SourceWords; text: string } {
  let value = 0;
  let octet = 0;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      value = value * 256 + octet;
      octet = 0;
      dots++;
    } else if (code >= 0x30 && code <= 0x39) octet = octet * 10 + code - 0x30;
    else return readLongAddress(text);
  }
  return dots === 3 ? { words: [0, 0, 0xffff, value * 256 + octet], text } : readLongAddress(text);
}

function readLongAddress(text: string): { words: SourceWords; text: string } {
  const zone = text.indexOf('%');
  const parsed = parseAddress(zone < 0 ? text : text.slice(0, zone));
  if (parsed === null) return { words: NO_ADDRESS, text };
  // A mapped address is the IPv4 address that it stands for, in rules and in the journal.
  return {
    words: parsed.words,
    text: formatHostPort(parsed, 0)
      .replace(/:0$/, '')
      .replace(/^\[|\]$/g, ''),
  };
}
