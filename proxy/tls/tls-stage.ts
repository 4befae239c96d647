/**
 * The stage between accept (or the PROXY header) and the session where an application speaks TLS: reads the hello, then ends TLS here or lets it
 * pass. Whatever goes wrong is counted and recorded here; the session sees only connections that are through.
 */
import { X509Certificate } from 'node:crypto';
import { NO_ENCRYPTION, readOpening, YES_ENCRYPTION } from '../databases/postgres.ts';
import type { FlowRecord } from '../observe/view.ts';
import * as ledger from '../shared/ledger.ts';
import { giveChunk } from '../wire/chunks.ts';
import { Held } from '../wire/held.ts';
import type { StreamHandle } from '../wire/native.ts';
import { TlsHandle, type TlsOwner } from '../wire/tls-handle.ts';
import { Wire, type WireOwner } from '../wire/wire.ts';
import { closeFlow, type EndedBy, Flow, openFlow, Party } from '../worker/account.ts';
import type { Arrival, TlsFacts } from '../worker/arrival.ts';
import type { Context } from '../worker/context.ts';
import { CUT, KEPT, type Redecided } from '../worker/redecided.ts';
import { type ListenerPlace, LiveSession } from '../worker/session.ts';
import { alertBytes } from './alert.ts';
import { type HelloFault, HelloReader, type HelloRefusal } from './client-hello.ts';
import type { ServerContexts } from './contexts.ts';
import type { ClientHello } from './hello.ts';
import { identitiesOf } from './identities.ts';
import { faultOfCertificate, reasonOf } from './reason.ts';
import { type CertificateId, idOf } from './revocation-list.ts';

/** What HTTP in the clear gets on a port that speaks TLS, as from other servers. */
const SPEAKS_TLS = Buffer.from(
  'HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 40\r\n\r\nThis port speaks TLS. Ask with https://.',
);
const HTTP_METHOD = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI) /;
/** A record of TLS that nobody can decrypt: makes OpenSSL end the connection with an alert, where it was not asked to judge a certificate itself. */
const UNREADABLE = Buffer.concat([Buffer.from([23, 3, 3, 0, 32]), Buffer.alloc(32)]);

const FAULTS: Readonly<Record<HelloFault, string>> = {
  'not-tls': 'speaks no TLS',
  malformed: 'malformed ClientHello',
  'too-long': 'ClientHello too long',
};

/** Whether there is GSSAPI encryption, and whether there is TLS. */
const POSTGRES_REQUESTS_MAX = 2;

/** Of a name in the journal; clients can make them as long as they like. */
const NAME_CHARACTERS_MAX = 120;

const HELLO = 0;
const HANDSHAKE = 1;
const OVER = 2;

export class TlsStage extends LiveSession implements WireOwner, TlsOwner {
  readonly listener: ListenerPlace;
  private readonly context: Context;
  readonly arrival: Arrival;
  private readonly next: (context: Context, arrival: Arrival) => void;
  private readonly wire: Wire;
  private readonly held = new Held();
  private readonly reader = new HelloReader();
  private readonly startedAt: number;
  private state = HELLO;
  /** The hello has begun; before, there may be questions. */
  private begun = false;
  private requests = 0;
  private handle: TlsHandle | null = null;
  private contexts: ServerContexts | null = null;
  private facts: TlsFacts | null = null;
  private certificate: CertificateId | null = null;

  /** The connection has its place under the caps. `next` takes it once it is through. */
  constructor(context: Context, arrival: Arrival, next: (context: Context, arrival: Arrival) => void) {
    super();
    this.context = context;
    this.arrival = arrival;
    this.next = next;
    this.listener = arrival.listener;
    this.startedAt = context.clock.now();
    this.wire = new Wire(arrival.handle, this);
    context.sessions.add(this);
    context.wheel.arm(this, context.clock.coarse + arrival.application.timeouts.handshake);
    const { early } = arrival;
    if (early !== null) this.wireData(this.wire, early, early.length);
    if (this.state === HELLO) this.wire.resume();
  }

  // --- the hello -----------------------------------------------------------------------------------------------------------------

  wireData(_wire: Wire, bytes: Buffer, length: number): void {
    if (this.state !== HELLO) return;
    const { held } = this;
    const unread = held.length;
    held.append(bytes, 0, length);
    if (!this.begun && this.answersRequest()) return;
    // What came before, while it could still have been a request, has not been read either.
    const reading = this.begun ? this.reader.push(bytes, 0, length) : this.reader.push(held.bytes, 0, unread + length);
    this.begun = true;
    if (reading.kind === 'hello') this.goOn(reading.hello);
    else if (reading.kind === 'fault') this.fault(reading);
  }

  /**
   * A client of PostgreSQL asks in the clear whether there is TLS, and begins with it then. True while what is held is no more than such a
   * question. What comes behind it without waiting for the answer is not read as encrypted (CVE-2021-23214), so it ends as no TLS.
   */
  private answersRequest(): boolean {
    const { held, listener } = this;
    if (held.bytes[0] !== 0 || this.arrival.application.mode !== 'tcp' || this.requests >= POSTGRES_REQUESTS_MAX) return false;
    if (listener.application < 0 || this.context.policy.tlsOf(listener.application) === null) return false;
    const opening = readOpening(held.bytes, held.length);
    if (opening.kind === 'more') return true;
    if ((opening.kind !== 'ssl-request' && opening.kind !== 'gss-request') || held.length > opening.end) return false;
    this.requests++;
    held.drop();
    this.wire.writeBytes(opening.kind === 'ssl-request' ? YES_ENCRYPTION : NO_ENCRYPTION);
    return true;
  }

  private goOn(hello: ClientHello): void {
    const { context, listener, wire } = this;
    // What is in force now: the policy may have changed since the connection came.
    const contexts = listener.application < 0 ? null : context.policy.tlsOf(listener.application);
    wire.settle();
    const { sni, alpn, ja4 } = hello;
    this.facts = { sni, alpn, ja4, terminated: false, version: null, cipher: null, agreed: null, certificate: null };
    const flows = !wire.paused;
    const chunk = this.held.take()!;
    const unread = chunk.view(0, chunk.length);
    if (contexts === null) {
      wire.pause();
      const early = Buffer.from(unread);
      giveChunk(chunk);
      this.count('passed');
      this.pass(this.arrival.handle, early, this.facts, this.arrival.identities);
      return;
    }
    this.state = HANDSHAKE;
    this.contexts = contexts;
    const chosen = contexts.choose(hello);
    const handle = (this.handle = new TlsHandle(this.arrival.handle, chosen.native, true, this));
    const { clients } = contexts.material;
    if (clients !== null) handle.inner.setVerifyMode(true, clients.required);
    if (contexts.alpn !== null && hello.firstAlpn !== null) handle.inner.setALPNProtocols(contexts.alpn);
    const { ocsp, ocspUntil } = chosen.material;
    // Clients that look at it refuse the certificate for one that has run out, and only ask elsewhere where there is none.
    if (ocsp !== null && Date.now() < ocspUntil) handle.inner.setOCSPResponse(ocsp);
    handle.begin(unread, flows);
    giveChunk(chunk);
  }

  private fault({ fault, alert }: HelloRefusal): void {
    const { held, wire } = this;
    if (fault === 'too-long') this.limit('client-hello-size');
    this.count(fault === 'not-tls' ? 'not-tls' : 'malformed');
    const isHttp = fault === 'not-tls' && HTTP_METHOD.test(held.bytes.toString('latin1', 0, Math.min(held.length, 16)));
    const told = isHttp ? SPEAKS_TLS : alert === null ? null : alertBytes(alert);
    if (told !== null) {
      wire.writeBytes(told);
      wire.end();
    }
    this.finish('client', FAULTS[fault], told === null);
  }

  // --- the handshake -------------------------------------------------------------------------------------------------------------

  secured(handle: TlsHandle): void {
    if (this.state !== HANDSHAKE) return;
    const { inner } = handle;
    const resumed = inner.isSessionReused();
    const version = inner.getProtocol() === 'TLSv1.3' ? '1.3' : '1.2';
    const identities = this.contexts!.material.clients === null ? [] : this.identify(handle);
    if (typeof identities === 'string') {
      this.count('client-certificate');
      this.finish('policy', `client certificate not accepted: ${identities}`, true);
      return;
    }
    this.count(version === '1.3' ? (resumed ? 'resumed-1.3' : 'full-1.3') : resumed ? 'resumed-1.2' : 'full-1.2');
    const agreed = inner.getALPNNegotiatedProtocol();
    const { sni, alpn, ja4 } = this.facts!;
    const cipher = inner.getCipher()?.standardName ?? null;
    const facts = {
      sni,
      alpn,
      ja4,
      terminated: true,
      version,
      cipher,
      agreed: agreed === false ? null : agreed,
      certificate: this.certificate,
    };
    this.pass(handle, null, facts, identities);
  }

  /** Who the client is by its certificate; why not, where that is not good. A session that is resumed carries the certificate along. */
  private identify({ inner }: TlsHandle): string[] | string {
    const raw = inner.getPeerCertificate(true)?.raw;
    if (raw === undefined) return this.contexts!.material.clients!.required ? 'none was sent' : [];
    const error = inner.verifyError();
    try {
      const certificate = new X509Certificate(raw);
      if (error) return refusalOf(faultOfCertificate(error), certificate);
      // Verified when the session began; its end may have come since.
      if (Date.parse(certificate.validTo) < Date.now()) return refusalOf('certificate has expired', certificate);
      this.certificate = idOf(certificate.raw);
      // OpenSSL has asked the list of when the handshake began; a swap may have brought a newer one, and asked only those that were through.
      const { listener, context } = this;
      const inForce = listener.application < 0 ? null : context.policy.tlsOf(listener.application);
      if (this.certificate !== null && inForce !== this.contexts && inForce?.revokes(this.certificate) === true)
        return refusalOf('certificate revoked', certificate);
      return identitiesOf(certificate);
    } catch {
      return 'it cannot be read';
    }
  }

  unsecured(_handle: TlsHandle, code: string): void {
    if (this.state !== HANDSHAKE) return;
    if (code === 'CLOSED') this.count('closed');
    else this.count(code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' ? 'client-certificate' : 'failed');
    const reason = code === 'CLOSED' ? 'closed in its TLS handshake' : `TLS handshake: ${reasonOf(code)}`;
    this.finish('client', reason, false);
  }

  private pass(handle: StreamHandle, early: Buffer | null, tls: TlsFacts, identities: readonly string[]): void {
    const { context, listener, arrival } = this;
    // A swap that has not come by here yet: there is no policy by which a session could begin.
    if (listener.vip < 0) {
      this.finish('policy', 'vip removed', true);
      return;
    }
    this.leave();
    const application = context.policy.application(listener.application);
    this.next(context, { ...arrival, application, handle, early, tls, identities });
  }

  // --- the rest of a session's life ----------------------------------------------------------------------------------------------

  wireEnd(): void {
    if (this.state !== HELLO) return;
    this.count('closed');
    this.finish('client', 'closed before the end of its ClientHello', false);
  }

  wireError(): void {
    if (this.state !== HELLO) return;
    this.count('closed');
    this.finish('client', 'reset before the end of its ClientHello', true);
  }

  wireDrained(): void {}

  expired(): void {
    this.limit('handshake');
    this.count('timeout');
    this.finish('proxy', 'TLS handshake timeout', true);
  }

  redecide(): Redecided {
    if (this.state === OVER || this.listener.vip >= 0) return KEPT;
    this.finish('policy', 'vip removed', true);
    return CUT;
  }

  drain(): void {
    this.finish('proxy', 'draining', true);
  }

  abort(reason: string): void {
    this.finish('proxy', reason, true);
  }

  /** No flow has begun. */
  describe(_into: FlowRecord[]): void {}

  private limit(limit: ledger.Limit): void {
    if (this.listener.application >= 0) this.context.policy.ledger.limit(this.listener.application, limit);
  }

  private count(result: ledger.TlsResult): void {
    if (this.listener.application >= 0) this.context.policy.ledger.handshake(this.listener.application, result);
  }

  private leave(): void {
    this.state = OVER;
    this.context.wheel.disarm(this);
    this.context.sessions.remove(this);
    this.held.drop();
  }

  /** The connection ends here: recorded, and counted as no flow of any rule. */
  private finish(by: EndedBy, reason: string, reset: boolean): void {
    if (this.state === OVER) return;
    this.leave();
    this.disconnect(reset);
    const { context, listener, arrival } = this;
    const flow = new Flow();
    openFlow(context, flow, listener.application, -1, -1, this.startedAt);
    closeFlow(
      context,
      flow,
      listener.application,
      new Party(listener, arrival.sourceText, this.facts),
      null,
      by,
      reason,
      context.clock.now(),
    );
    // Last, so that who sees no connection sees no flow of one either.
    context.caps.release(arrival.application.column, arrival.source);
    if (listener.application >= 0) context.policy.ledger.add(listener.application, ledger.CONNECTIONS_CLOSED, 1);
  }

  private disconnect(reset: boolean): void {
    const { handle, wire } = this;
    if (handle === null) {
      if (reset) wire.reset();
      else wire.close();
    } else if (handle.established) {
      // Judged by us after the handshake: the alert that OpenSSL would have sent is made to come.
      handle.inner.receive(UNREADABLE);
      setImmediate(() => handle.close());
    } else if (reset) handle.reset();
    else setImmediate(() => handle.close());
  }
}

/** Why a certificate was refused, and which: whoever sent it is looked for by this. */
function refusalOf(why: string, { subject, issuer, serialNumber }: X509Certificate): string {
  const line = (name: string | undefined) => (name ?? 'nobody').replaceAll('\n', ', ').slice(0, NAME_CHARACTERS_MAX);
  return `${why} (${line(subject)}; serial number ${serialNumber.slice(0, NAME_CHARACTERS_MAX)}; issued by ${line(issuer)})`;
}
