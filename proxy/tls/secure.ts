/** TLS to a server, on a connection that was just made: handshake, verification, and sessions that are resumed by the worker that had them. */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { NativeSecureContext, StreamHandle } from '../wire/native.ts';
import { TlsHandle, type TlsOwner } from '../wire/tls-handle.ts';
import { alpnBytes } from './contexts.ts';
import type { ClientMaterial } from './material.ts';

/** One a server and way of asking it; beyond, the one that was kept longest goes. */
const SESSIONS_MAX = 1_024;
/** Contexts of pools that are no longer there are few, and small; beyond, all are made anew. */
const CONTEXTS_MAX = 256;

const contexts = new Map<string, NativeSecureContext>();
const sessions = new Map<string, Kept>();

/** A session of a server that was believed; until its certificate ends (milliseconds since 1970). */
interface Kept {
  readonly bytes: Uint8Array;
  readonly until: number;
}

/** Throws where OpenSSL refuses what it is given; the main thread has tried before. */
export function clientContext(material: ClientMaterial): NativeSecureContext {
  const known = contexts.get(material.id);
  if (known !== undefined) return known;
  const { certificate, key, ca } = material;
  const { context } = createSecureContext({
    minVersion: 'TLSv1.2',
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
    ...(ca === null ? {} : { ca }),
    ...(certificate === null || key === null ? {} : { cert: certificate, key }),
  }) as unknown as { context: NativeSecureContext };
  if (contexts.size >= CONTEXTS_MAX) contexts.clear();
  contexts.set(material.id, context);
  return context;
}

/** The handle is the caller's again where it is answered; on null it is closed. Answered once, never from within, and not after `cancel`. */
export function secure(parent: StreamHandle, peer: Peer, material: ClientMaterial, done: (handle: TlsHandle | null) => void): Securing {
  return new Securing(parent, peer, material, done);
}

interface Peer {
  /** Numeric address, or path. */
  readonly host: string;
  readonly port: number;
}

export class Securing implements TlsOwner {
  private readonly material: ClientMaterial;
  private readonly address: string;
  private readonly done: (handle: TlsHandle | null) => void;
  private readonly handle: TlsHandle;
  private readonly session: string;
  /** End of the certificate that was believed. */
  private until = Number.POSITIVE_INFINITY;
  private over = false;
  private cancelled = false;

  constructor(parent: StreamHandle, { host: address, port }: Peer, material: ClientMaterial, done: (handle: TlsHandle | null) => void) {
    this.material = material;
    this.address = address;
    this.done = done;
    this.session = `${material.id} ${address} ${port}`;
    const handle = (this.handle = new TlsHandle(parent, clientContext(material), false, this));
    const { inner } = handle;
    // What a server shows is taken, and judged when the handshake is over.
    inner.setVerifyMode(true, false);
    if (material.sni !== null) inner.setServername(material.sni);
    if (material.alpn.length > 0) inner.setALPNProtocols(alpnBytes(material.alpn));
    const kept = sessions.get(this.session);
    if (kept !== undefined && kept.until > Date.now()) {
      this.until = kept.until;
      inner.setSession(kept.bytes);
    }
    const { session } = this;
    let trusted = false;
    let early: Uint8Array | null = null;
    this.believed = () => {
      trusted = true;
      if (early !== null) keep(session, early, this.until);
    };
    inner.onnewsession = (_id, bytes) => {
      // Under TLS 1.2 it comes before the server was judged.
      if (trusted) keep(session, bytes, this.until);
      else early = bytes;
    };
    inner.enableSessionCallbacks();
    handle.begin(null);
  }

  private readonly believed: () => void;

  secured(handle: TlsHandle): void {
    if (this.over) return;
    if (!this.believes(handle)) {
      this.fail();
      return;
    }
    this.over = true;
    this.believed();
    this.done(handle);
  }

  unsecured(): void {
    if (!this.over) this.fail();
  }

  cancel(): void {
    this.cancelled = true;
    if (this.over) return;
    this.over = true;
    this.handle.reset();
  }

  /** A session that failed is not tried again. */
  private fail(): void {
    this.over = true;
    sessions.delete(this.session);
    // Off the stack of OpenSSL, which may still have an alert to send.
    setImmediate(() => {
      this.handle.close();
      if (!this.cancelled) this.done(null);
    });
  }

  /** RFC 9525: the certificate leads to an authority that is believed, and has the name that was asked for, or the address. */
  private believes({ inner }: TlsHandle): boolean {
    const { material, address } = this;
    // Only a session of a server that was believed is offered, and only that server can resume it.
    if (!material.verifies || inner.isSessionReused()) return true;
    const raw = inner.getPeerCertificate(true)?.raw;
    if (raw === undefined || inner.verifyError()) return false;
    try {
      const certificate = new X509Certificate(raw);
      const name = material.sni === null ? certificate.checkIP(address) : certificate.checkHost(material.sni, { subject: 'never' });
      this.until = Date.parse(certificate.validTo);
      return name !== undefined;
    } catch {
      return false;
    }
  }
}

function keep(session: string, bytes: Uint8Array, until: number): void {
  sessions.delete(session);
  if (sessions.size >= SESSIONS_MAX) sessions.delete(sessions.keys().next().value!);
  sessions.set(session, { bytes, until });
}
