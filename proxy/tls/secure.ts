/** TLS to a server, on a connection that was just made: handshake, verification, and sessions that are resumed by the worker that had them. */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { NativeSecureContext, StreamHandle } from '../wire/native.ts';
import { TlsHandle, type TlsOwner } from '../wire/tls-handle.ts';
import { alpnBytes } from './contexts.ts';
import type { ClientMaterial } from './material.ts';
import { faultOfCertificate, refusalOf } from './reason.ts';

/** One a server and way of asking it; beyond, the one that was kept longest goes. */
const SESSIONS_MAX = 1_024;
/** Contexts of pools that are no longer there are few, and small; beyond, all are made anew. */
const CONTEXTS_MAX = 256;

const contexts = new Map<string, NativeSecureContext>();
const sessions = new Map<string, Kept>();
/** Why TLS to a server failed the last time, in words; as many as there are sessions. */
const faults = new Map<string, string>();

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

/** Why the last try to secure a connection to the server failed: asked by who has just heard that it did. null: nobody knows. */
export function whyUnsecured({ host, port }: Peer, material: ClientMaterial): string | null {
  return faults.get(keyOf(host, port, material)) ?? null;
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
    this.session = keyOf(address, port, material);
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
      if (early !== null) keepNewest(sessions, session, { bytes: early, until: this.until });
    };
    inner.onnewsession = (_id, bytes) => {
      // Under TLS 1.2 it comes before the server was judged.
      if (trusted) keepNewest(sessions, session, { bytes, until: this.until });
      else early = bytes;
    };
    inner.enableSessionCallbacks();
    handle.begin(null);
  }

  private readonly believed: () => void;

  secured(handle: TlsHandle): void {
    if (this.over) return;
    const fault = this.faultOf(handle);
    if (fault !== null) {
      this.fail(fault);
      return;
    }
    this.over = true;
    this.believed();
    this.done(handle);
  }

  unsecured(_handle: TlsHandle, code: string): void {
    if (!this.over) this.fail(refusalOf(code));
  }

  cancel(): void {
    this.cancelled = true;
    if (this.over) return;
    this.over = true;
    this.handle.reset();
  }

  /** A session that failed is not tried again. */
  private fail(fault: string): void {
    this.over = true;
    sessions.delete(this.session);
    keepNewest(faults, this.session, fault);
    // Off the stack of OpenSSL, which may still have an alert to send.
    setImmediate(() => {
      this.handle.close();
      if (!this.cancelled) this.done(null);
    });
  }

  /** RFC 9525: the certificate leads to an authority that is believed, and has the name that was asked for, or the address. null: it does. */
  private faultOf({ inner }: TlsHandle): string | null {
    const { material, address } = this;
    // Only a session of a server that was believed is offered, and only that server can resume it.
    if (!material.verifies || inner.isSessionReused()) return null;
    const raw = inner.getPeerCertificate(true)?.raw;
    if (raw === undefined) return 'showed no certificate';
    const error = inner.verifyError();
    if (error) return faultOfCertificate(error);
    try {
      const certificate = new X509Certificate(raw);
      const name = material.sni === null ? certificate.checkIP(address) : certificate.checkHost(material.sni, { subject: 'never' });
      this.until = Date.parse(certificate.validTo);
      return name === undefined ? `no name of the certificate is ${material.sni ?? address}` : null;
    } catch {
      return 'its certificate cannot be read';
    }
  }
}

function keyOf(address: string, port: number, { id }: ClientMaterial): string {
  return `${id} ${address} ${port}`;
}

function keepNewest<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  if (map.size >= SESSIONS_MAX) map.delete(map.keys().next().value!);
  map.set(key, value);
}
