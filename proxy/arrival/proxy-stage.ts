/**
 * The stage between accept and everything else for connections of proxies that the file lists: waits for the PROXY header, and goes on with the
 * source that it names. A header that is wrong, late or missing ends the connection; nothing is guessed.
 */
import { type Address, formatAddress, formatHostPort, prefixContains } from '../../config/address.ts';
import type { ProxyProtocolIn } from '../../config/proxy-protocol.ts';
import type { SourceWords } from '../balance/pool.ts';
import type { FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { Held } from '../wire/held.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { closeFlow, type EndedBy, Flow, openFlow, Party } from '../worker/account.ts';
import type { Arrival, TlsFacts } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import { type ListenerPlace, LiveSession } from '../worker/session.ts';
import type { ProxiedFacts, ProxyFault, ProxyHeader } from './proxied.ts';
import { readProxyHeader } from './proxy-header.ts';

const NO_ADDRESS: SourceWords = [0, 0, 0, 0];

/** Faults that are counted apart; all others are of a header that is malformed in one way or another. */
const RESULTS: Readonly<Partial<Record<ProxyFault, ledger.ProxyResult>>> = {
  'no header': 'none',
  'too long': 'too-long',
  'bad checksum': 'checksum',
};

/** Whether a peer is one of the proxies whose header is believed. `hasAddress` is false for a peer on a unix socket. */
export function isListedProxy(listed: ProxyProtocolIn, peer: SourceWords, hasAddress: boolean): boolean {
  if (!hasAddress) return listed.unix;
  const [a, b, c, d] = peer;
  const address: Address = { family: a === 0 && b === 0 && c === 0xffff ? 4 : 6, words: [a, b, c, d] };
  return listed.from.some((prefix) => prefixContains(prefix, address));
}

export class ProxyStage extends LiveSession implements WireOwner {
  readonly listener: ListenerPlace;
  private readonly context: Context;
  readonly arrival: Arrival;
  private readonly next: (context: Context, arrival: Arrival) => void;
  private readonly wire: Wire;
  private readonly held = new Held();
  private readonly startedAt: number;
  private over = false;

  /** `arrival` is the proxy itself, claimed under the caps without a cap on its source. `next` takes the connection of its client. */
  constructor(context: Context, arrival: Arrival, next: (context: Context, arrival: Arrival) => void) {
    super();
    this.context = context;
    this.arrival = arrival;
    this.next = next;
    this.listener = arrival.listener;
    this.startedAt = context.clock.now();
    this.wire = new Wire(arrival.handle, this);
    context.sessions.add(this);
    context.wheel.arm(this, context.clock.coarse + arrival.application.proxyProtocol!.timeoutMs);
    this.wire.resume();
  }

  wireData(_wire: Wire, bytes: Buffer, length: number): void {
    const { held, listed } = this;
    if (listed === null) {
      this.finish('policy', 'no longer a listed proxy');
      return;
    }
    if (!held.empty) held.append(bytes, 0, length);
    const all = held.empty ? bytes : held.bytes;
    const size = held.empty ? length : held.length;
    const reading = readProxyHeader(all, size, listed.headerBytes);
    if (reading.kind === 'more') {
      if (held.empty) held.append(bytes, 0, length);
    } else if (reading.kind === 'fault') {
      if (reading.fault === 'too long') this.limit('proxy-header-size');
      this.counted(RESULTS[reading.fault] ?? 'malformed');
      this.finish('client', `PROXY header: ${reading.fault}`);
    } else {
      this.counted(reading.header.ends === null ? 'local' : 'accepted');
      const early = size > reading.end ? Buffer.from(all.subarray(reading.end, size)) : null;
      this.goOn(reading.header, early, listed.trustIdentity);
    }
  }

  /** The settings in force; null where they no longer list this proxy, so that a header of its would be somebody's word. */
  private get listed(): ProxyProtocolIn | null {
    const { arrival, context, listener } = this;
    if (listener.vip < 0 || listener.application < 0) return null;
    const listed = context.policy.application(listener.application).proxyProtocol;
    return listed !== null && isListedProxy(listed, arrival.source, arrival.hasAddress) ? listed : null;
  }

  private goOn(header: ProxyHeader, early: Buffer | null, trustIdentity: boolean): void {
    const { arrival, context, listener } = this;
    const { policy } = context;
    const application = policy.application(listener.application);
    const client = { ...arrival, ...said(header), application, early, ...learnt(header.facts, trustIdentity) };
    context.caps.release(arrival.application.column, arrival.source);
    const refusal = context.caps.claim(application, client.source, policy.plan.connectionsMax);
    this.leave();
    if (refusal !== null) {
      this.limit(refusal);
      policy.ledger.add(listener.application, ledger.CONNECTIONS_CLOSED, 1);
      this.wire.reset();
      return;
    }
    // The next stage reads with a wire of its own.
    this.wire.settle();
    this.wire.pause();
    this.next(context, client);
  }

  wireEnd(): void {
    this.counted('closed');
    this.finish('client', 'closed before the end of its PROXY header');
  }

  wireError(): void {
    this.counted('closed');
    this.finish('client', 'reset before the end of its PROXY header');
  }

  wireDrained(): void {}

  expired(): void {
    this.limit('proxy-header');
    this.counted('timeout');
    this.finish('proxy', 'PROXY header timeout');
  }

  redecide(): Redecided {
    if (this.over || this.listed !== null) return KEPT;
    this.finish('policy', this.listener.vip < 0 ? 'vip removed' : 'no longer a listed proxy');
    return CUT;
  }

  drain(): void {
    this.finish('proxy', 'draining');
  }

  abort(reason: string): void {
    this.finish('proxy', reason);
  }

  /** No flow has begun. */
  describe(_into: FlowRecord[]): void {}

  private limit(limit: ledger.Limit): void {
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, limit);
  }

  private counted(result: ledger.ProxyResult): void {
    if (this.listener.application >= 0) this.context.policy.ledger.proxyHeader(this.listener.application, result);
  }

  private leave(): void {
    this.over = true;
    this.context.wheel.disarm(this);
    this.context.sessions.remove(this);
    this.held.drop();
  }

  /** The connection ends here: recorded, without a verdict. */
  private finish(by: EndedBy, reason: string): void {
    if (this.over) return;
    const { arrival, context, listener } = this;
    this.leave();
    const flow = new Flow();
    openFlow(context, flow, listener.application, -1, -1, this.startedAt);
    const party = new Party(listener, arrival.sourceText);
    closeFlow(context, flow, listener.application, party, null, by, reason, context.clock.now());
    // Last, so that who sees no connection sees no flow of one either.
    context.caps.release(arrival.application.column, arrival.source);
    if (listener.application >= 0) context.policy.ledger.add(listener.application, ledger.CONNECTIONS_CLOSED, 1);
    this.wire.reset();
  }
}

/** Who the client is, as the header has it. Where it names nobody, the proxy speaks for itself. */
function said({ ends }: ProxyHeader): Partial<Arrival> {
  if (ends === null) return {};
  if (ends.kind === 'unix')
    return { source: NO_ADDRESS, hasAddress: false, address: '', sourceText: 'unix', sourcePort: 0, destination: null };
  const { source, destination } = ends;
  return {
    source: source.address.words,
    hasAddress: true,
    address: formatAddress(source.address),
    sourceText: formatHostPort(source.address, source.port),
    sourcePort: source.port,
    destination,
  };
}

function learnt({ alpn, authority, ssl }: ProxiedFacts, trustIdentity: boolean): { tls: TlsFacts | null; identities: readonly string[] } {
  const name = trustIdentity && ssl?.verified === true ? ssl.commonName : null;
  const tls: TlsFacts | null =
    alpn === null && authority === null && ssl === null
      ? null
      : {
          sni: authority,
          alpn: alpn === null ? [] : [alpn],
          ja4: '',
          // By the proxy in front: what comes here is plain.
          terminated: ssl?.encrypted === true,
          version: ssl?.version ?? null,
          cipher: ssl?.cipher ?? null,
          agreed: alpn,
          certificate: null,
        };
  return { tls, identities: name === null ? [] : [`cn:${name}`] };
}
