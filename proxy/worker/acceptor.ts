/** Accepts connections on one VIP, within the caps, and hands each to the session that carries it. */
import { formatHostPort, parseAddress } from '../../config/address.ts';
import type { Endpoint } from '../../config/document.ts';
import type { SourceWords } from '../balance/pool.ts';
import { HttpConnection } from '../http/connection.ts';
import { TcpSession } from '../relay/tcp-session.ts';
import * as ledger from '../shared/ledger.ts';
import { type Accepting, type Listener, listen } from '../wire/listen.ts';
import type { StreamHandle } from '../wire/native.ts';
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
  private listener: Listener | null = null;
  private readonly name = { address: '', family: '', port: 0 };

  constructor(context: Context, endpoint: Endpoint, vip: number, application: number, trouble: (errno: number) => void) {
    this.context = context;
    this.endpoint = endpoint;
    this.trouble = trouble;
    this.place = { text: endpoint.text, port: endpoint.kind === 'tcp' ? endpoint.port : 0, vip, application, record: null };
  }

  /** Binds and listens; answers the name of the error, or null. */
  open(): string | null {
    const result = listen(this.endpoint, this.endpoint.kind === 'tcp', this);
    if (!result.ok) return result.code;
    this.listener = result.listener;
    return null;
  }

  close(): void {
    this.listener?.close();
    this.listener = null;
  }

  /** hot: a new connection. */
  accept(handle: StreamHandle): void {
    const { context, place } = this;
    const { policy } = context;
    const application = policy.plan.applications[place.application];
    if (application === undefined || this.listener === null) {
      if (handle.reset === undefined || handle.reset() !== 0) handle.close();
      return;
    }
    let source = NO_ADDRESS;
    let address = '';
    let text = 'unix';
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
      text = parsed.text.includes(':') ? `[${address}]:${name.port}` : `${address}:${name.port}`;
    }
    const refusal = context.caps.claim(application, source, policy.plan.connectionsMax);
    if (refusal !== null) {
      policy.ledger.limit(place.application, refusal);
      if (handle.reset === undefined || handle.reset() !== 0) handle.close();
      return;
    }
    policy.ledger.add(place.application, ledger.CONNECTIONS_OPENED, 1);
    begin(context, { ...PLAIN_ARRIVAL, handle, listener: place, application, source, hasAddress, address, sourceText: text });
  }

  acceptFailed(errno: number): void {
    this.trouble(errno);
  }
}

/** hot: the session that carries the connection from here on. */
function begin(context: Context, arrival: Arrival): void {
  if (arrival.application.mode === 'http') new HttpConnection(context, arrival);
  else new TcpSession(context, arrival);
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
