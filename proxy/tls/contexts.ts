/** What a worker ends TLS with: a context of OpenSSL for each certificate, and which of them a hello gets. */
import { constants, createHash } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { NativeSecureContext } from '../wire/native.ts';
import type { ClientHello } from './hello.ts';
import type { CertificateMaterial, ServerMaterial } from './material.ts';
import { type CertificateId, revokedIn } from './revocation-list.ts';
import { TicketKeys } from './tickets.ts';

const TLS_1_3 = 0x0304;

/** ECDHE with ECDSA (RFC 8422, RFC 5289, RFC 7905): a client without any cannot take an ECDSA certificate under TLS 1.2. */
const ECDSA_CIPHERS: ReadonlySet<number> = new Set([
  0xc009, 0xc00a, 0xc023, 0xc024, 0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc0ad, 0xc0ae, 0xc0af,
]);
/** Any hash with ECDSA: under TLS 1.2 a scheme says nothing of the curve. */
const ECDSA_SCHEMES: ReadonlySet<number> = new Set([0x0403, 0x0503, 0x0603, 0x0203]);

/**
 * Renegotiation and compression have each had an attack to their name, and no use here. The order of ciphers is ours, so that what costs least is
 * taken of what is as good; a client that puts ChaCha20 first has no AES in hardware, and gets it.
 */
const OPTIONS =
  constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
  constants.SSL_OP_PRIORITIZE_CHACHA |
  constants.SSL_OP_NO_RENEGOTIATION |
  constants.SSL_OP_NO_COMPRESSION |
  constants.SSL_OP_NO_SSLv2 |
  constants.SSL_OP_NO_SSLv3;

export interface CertificateInUse {
  readonly native: NativeSecureContext;
  readonly material: CertificateMaterial;
}

/** Certificates for the same names. */
interface Candidates {
  readonly first: CertificateInUse;
  /** What costs least before the others. */
  readonly byCost: readonly CertificateInUse[];
}

export class ServerContexts {
  readonly material: ServerMaterial;
  /** As the handshake takes it; null where nothing is agreed on. */
  readonly alpn: Uint8Array | null;
  private readonly keys: TicketKeys | null;
  /** Read when it is first asked for. */
  private revoked: ReturnType<typeof revokedIn> | null = null;
  private readonly fallback: Candidates;
  private readonly exact: ReadonlyMap<string, Candidates>;
  private readonly wildcards: ReadonlyMap<string, Candidates>;

  /** Throws where OpenSSL refuses what it is given; the main thread has tried before. */
  constructor(material: ServerMaterial, now: () => number) {
    this.material = material;
    this.alpn = material.alpn.length === 0 ? null : alpnBytes(material.alpn);
    const keys = (this.keys = material.tickets === null ? null : new TicketKeys(material.tickets, now));
    const all = material.certificates.map(
      (certificate): CertificateInUse => ({
        native: serverContext(material, certificate, keys),
        material: certificate,
      }),
    );
    const exact = new Map<string, CertificateInUse[]>();
    const wildcards = new Map<string, CertificateInUse[]>();
    for (const one of all) {
      for (const name of one.material.names) {
        const [map, key] = name.startsWith('*.') ? [wildcards, name.slice(2)] : [exact, name];
        const there = map.get(key);
        if (there === undefined) map.set(key, [one]);
        else there.push(one);
      }
    }
    this.exact = candidatesOf(exact);
    this.wildcards = candidatesOf(wildcards);
    const first = new Set(all[0]!.material.names);
    this.fallback = candidates(all.filter((one, index) => index === 0 || one.material.names.some((name) => first.has(name))));
  }

  /** hot: the certificate for a hello: of the name that it asks for, or else the default; ECDSA before RSA where the client can take either. */
  choose(hello: ClientHello): CertificateInUse {
    // A ticket of TLS 1.3 is for one connection (RFC 8446 §C.4), so that who uses one is given another.
    if (this.keys !== null) this.keys.renews = hello.versions.includes(TLS_1_3);
    const { first, byCost } = this.named(hello.sni) ?? this.fallback;
    for (const one of byCost) if (takes(hello, one.material)) return one;
    return first;
  }

  /** Whether the list in use names a client's certificate. New connections are judged by OpenSSL; this is for those that are open. */
  revokes({ issuer, serial }: CertificateId): boolean {
    const crl = this.material.clients?.crl ?? null;
    if (crl === null) return false;
    this.revoked ??= revokedIn(crl);
    return this.revoked.get(issuer)?.has(serial) === true;
  }

  /** A wildcard stands for one label (RFC 6125 §6.4.3). */
  private named(sni: string | null): Candidates | undefined {
    if (sni === null) return undefined;
    const dot = sni.indexOf('.');
    return this.exact.get(sni) ?? (dot < 0 ? undefined : this.wildcards.get(sni.slice(dot + 1)));
  }
}

function candidates(all: readonly CertificateInUse[]): Candidates {
  return { first: all[0]!, byCost: all.toSorted((a, b) => cost(a) - cost(b)) };
}

function candidatesOf(map: ReadonlyMap<string, readonly CertificateInUse[]>): Map<string, Candidates> {
  return new Map([...map].map(([name, all]) => [name, candidates(all)]));
}

/** A signature with ECDSA or EdDSA takes a tenth of the time of one with RSA. */
function cost({ material }: CertificateInUse): number {
  return material.kind === 'rsa' ? 1 : 0;
}

function takes(hello: ClientHello, { kind, schemes }: CertificateMaterial): boolean {
  const { signatures } = hello;
  if (hello.versions.includes(TLS_1_3)) return schemes.some((scheme) => signatures.includes(scheme));
  if (kind === 'rsa') return true;
  if (kind === 'eddsa') return schemes.some((scheme) => signatures.includes(scheme));
  return hello.ciphers.some((cipher) => ECDSA_CIPHERS.has(cipher)) && signatures.some((scheme) => ECDSA_SCHEMES.has(scheme));
}

function serverContext(material: ServerMaterial, { certificate, key }: CertificateMaterial, keys: TicketKeys | null): NativeSecureContext {
  const { clients } = material;
  const { context } = createSecureContext({
    cert: certificate,
    key,
    minVersion: material.minimum,
    ciphers: material.ciphers,
    ecdhCurve: material.curves,
    secureOptions: OPTIONS | (keys === null ? constants.SSL_OP_NO_TICKET : 0),
    sessionIdContext: createHash('sha256').update(material.realm).digest('hex').slice(0, 32),
    sessionTimeout: material.tickets === null ? 300 : Math.ceil((2 * material.tickets.rotateMs) / 1000),
    // An empty list would be the authorities of the system, by which no client is meant to be known.
    ...(clients === null ? {} : { ca: clients.ca, ...(clients.crl === null ? {} : { crl: clients.crl }) }),
  }) as unknown as { context: NativeSecureContext };
  if (keys !== null) {
    context.onticketkeycallback = (name, _iv, encrypts) => keys.answer(name, encrypts);
    context.enableTicketKeyCallback();
  }
  return context;
}

/** RFC 7301 §3.1: each name with its length before it. */
export function alpnBytes(protocols: readonly string[]): Uint8Array {
  return Buffer.concat(protocols.flatMap((name) => [Buffer.from([name.length]), Buffer.from(name, 'latin1')]));
}

/** Contexts of this thread by what they were made of, so that a swap that leaves them as they are makes none anew. */
let made = new Map<string, ServerContexts>();

/** The contexts for each material of a new policy; those that it does not name are forgotten. Null stays null. */
export function contextsOf(materials: readonly (ServerMaterial | null)[], now: () => number): (ServerContexts | null)[] {
  const next = new Map<string, ServerContexts>();
  const all = materials.map((material) => {
    if (material === null) return null;
    const contexts = next.get(material.id) ?? made.get(material.id) ?? new ServerContexts(material, now);
    next.set(material.id, contexts);
    return contexts;
  });
  made = next;
  return all;
}
