/** Reads the files that TLS is made of, and says of each what is wrong with it. Nothing here keeps or watches anything. */
import { createPrivateKey, hash, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Application, Place, Pool, Problem } from '../../config/document.ts';
import type { CertificateFiles, ServerTls, TlsTermination } from '../../config/tls.ts';
import { ServerContexts } from './contexts.ts';
import { withoutZeros } from './der.ts';
import { attempt, Findings, readBytes, readText } from './file-findings.ts';
import { hostNamesOf } from './identities.ts';
import type { CertificateMaterial, ClientMaterial, ServerMaterial } from './material.ts';
import { readOcspResponse } from './ocsp-response.ts';
import { EXPIRES_SOON_MS, PEM, readAuthorities, readClients } from './reading-clients.ts';
import type { RevocationList } from './revocation-list.ts';

/** Chains that lead anywhere are shorter; the rest of a longer one is not looked at. */
const CHAIN_MAX = 16;
const PEM_BEGIN = '-----BEGIN CERTIFICATE-----';

/** A certificate as metrics show it. */
export interface CertificateFact {
  /** Its first name, or else its subject. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  /** The same. */
  readonly notAfter: number;
  /** From when on its OCSP response holds: the same; 0 where there is none. */
  readonly stapledFrom: number;
}

export interface Read<T> {
  /** null where something is missing that cannot be done without: then there is an error among the problems. */
  readonly material: T | null;
  readonly problems: readonly Problem[];
  /** Of the material, in its order. */
  readonly certificates: readonly CertificateFact[];
  readonly revocations: readonly RevocationList[];
}

/** A certificate, and what is shown of it. */
interface OneRead {
  readonly material: CertificateMaterial;
  readonly fact: CertificateFact;
}

/** `tickets` are not files, and are added by whoever keeps them. */
export type FilesOfServer = Omit<ServerMaterial, 'tickets'>;

/**
 * `before`: what was read of the same section earlier, of which each file that is no good now leaves its part in use. null: every error leaves
 * nothing.
 */
export function readServer(
  application: Application,
  tls: TlsTermination,
  nowMs: number,
  before: Read<FilesOfServer> | null,
): Read<FilesOfServer> {
  const findings = new Findings();
  const path = `/applications/${application.name}/tls`;
  const kept = before?.material ?? null;
  const read = tls.certificates.map((files, index) => {
    const earlier = kept === null ? null : { material: kept.certificates[index]!, fact: before!.certificates[index]! };
    return readCertificate(files, `${path}/certificates/${index}`, nowMs, findings, earlier);
  });
  const earlier = kept === null || kept.clients === null ? null : { material: kept.clients, revocations: before!.revocations };
  const clients = tls.clients === null ? null : readClients(tls.clients, `${path}/clients`, nowMs, findings, earlier);
  const { problems } = findings;
  const nothing = { material: null, problems, certificates: [], revocations: [] };
  if (!findings.good && kept === null) return nothing;
  const said = {
    kind: 'terminate' as const,
    certificates: read.map((one) => one!.material),
    minimum: tls.minimum === '1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    ciphers: tls.ciphers.join(':'),
    curves: tls.curves.join(':'),
    alpn: tls.alpn,
    clients: clients?.material ?? null,
  };
  // A session of one application, or under other authorities, is none here.
  const realm = JSON.stringify([application.name, said.clients]);
  const material = { ...said, realm, id: identify([said, realm, tls.tickets]) };
  try {
    new ServerContexts({ ...material, tickets: null }, Date.now);
  } catch (error) {
    const what = (error as Error).message;
    const remedy = 'Leave out ciphers: and curves: first.';
    findings.error('tls-unusable', path, tls.place, `What is said of TLS cannot be had together (${what}). ${remedy}`);
    return nothing;
  }
  return { material, problems, certificates: read.map((one) => one!.fact), revocations: clients?.revocations ?? [] };
}

/** `before`: as above. */
export function readClient(pool: Pool, tls: ServerTls, nowMs: number, before: Read<ClientMaterial> | null): Read<ClientMaterial> {
  const findings = new Findings();
  const path = `/pools/${pool.name}/tls`;
  const kept = before?.material ?? null;
  const read = tls.verify.kind === 'file' ? readAuthorities(tls.verify.ca, `${path}/verify`, tls.place, findings) : null;
  const own = tls.client === null ? null : readCertificate({ ...tls.client, ocsp: null }, path, nowMs, findings, null);
  const { problems } = findings;
  if (!findings.good && kept === null) return { material: null, problems, certificates: [], revocations: [] };
  const ca = read ?? kept?.ca ?? null;
  const said = {
    ca,
    verifies: tls.verify.kind !== 'off',
    sni: tls.sni,
    certificate: own?.material.certificate ?? kept?.certificate ?? null,
    key: own?.material.key ?? kept?.key ?? null,
    alpn: tls.alpn,
  };
  const certificates = own === null ? (before?.certificates ?? []) : [own.fact];
  return { material: { ...said, id: identify(said) }, problems, certificates, revocations: [] };
}

/** The files of an owner, in the order in which they are read. */
export function filesOf(tls: TlsTermination | ServerTls): string[] {
  if ('kind' in tls) {
    const clients = tls.clients === null ? [] : [tls.clients.ca, tls.clients.crl];
    return [...tls.certificates.flatMap((one) => [one.certificate, one.key, one.ocsp]), ...clients].filter((file) => file !== null);
  }
  const ca = tls.verify.kind === 'file' ? [tls.verify.ca] : [];
  return tls.client === null ? ca : [...ca, tls.client.certificate, tls.client.key];
}

/** The certificate of the files; `before`, or null where there is none, where they are no good. */
function readCertificate(files: CertificateFiles, path: string, nowMs: number, findings: Findings, before: OneRead | null): OneRead | null {
  const { places } = files;
  const place = places.certificate;
  const certificate = readText(files.certificate, `${path}/certificate`, place, findings);
  const key = readText(files.key, `${path}/key`, places.key, findings);
  if (certificate === null || key === null) return before;
  const pair = readPair(files, certificate, key, path, findings);
  if (pair === null) return before;
  const { leaf, able } = pair;
  noteEnd(leaf, files.certificate, path, place, nowMs, findings);
  noteOrder(certificate, files.certificate, path, place, findings);
  const staple = files.ocsp === null ? NO_STAPLE : readStaple(files.ocsp, leaf, `${path}/ocsp`, places.ocsp, nowMs, findings);
  // One that was read before is about the certificate that was.
  const earlier = before?.material.certificate === certificate ? before!.material : NO_STAPLE;
  const { ocsp, ocspUntil } = staple ?? earlier;
  const stapledFrom = staple?.ocspFrom ?? before?.fact.stapledFrom ?? 0;
  const material = { certificate, key, ocsp, ocspUntil, names: hostNamesOf(leaf), ...able };
  const fact = { name: nameOf(leaf), notBefore: Date.parse(leaf.validFrom), notAfter: Date.parse(leaf.validTo), stapledFrom };
  return { material, fact };
}

type Ability = Pick<CertificateMaterial, 'kind' | 'schemes'>;

/** Two texts that belong together, and can be used; null where an error is among the findings. */
function readPair(
  files: CertificateFiles,
  certificate: string,
  key: string,
  path: string,
  findings: Findings,
): { readonly leaf: X509Certificate; readonly able: Ability } | null {
  const { places } = files;
  const place = places.certificate;
  const leaf = attempt(() => new X509Certificate(certificate));
  if (leaf === null) {
    const remedy = certificate.includes(PEM_BEGIN)
      ? 'What begins with -----BEGIN CERTIFICATE----- there is cut off or damaged: write the file anew.'
      : 'It begins with -----BEGIN CERTIFICATE-----; convert DER with openssl x509 -inform der.';
    const message = `${files.certificate} holds no certificate in PEM. ${remedy}`;
    return findings.error('certificate-unusable', `${path}/certificate`, place, message);
  }
  if (Number.isNaN(Date.parse(leaf.validFrom) + Date.parse(leaf.validTo))) {
    const message = `${files.certificate} does not say from when to when it is good. Have its authority issue it anew.`;
    return findings.error('certificate-unusable', `${path}/certificate`, place, message);
  }
  const secret = attempt(() => createPrivateKey(key));
  if (secret === null)
    return findings.error(
      'key-unusable',
      `${path}/key`,
      places.key,
      `${files.key} holds no private key in PEM that opens without a passphrase. Write one with openssl pkey -in KEY -out NEW.`,
    );
  if (!leaf.checkPrivateKey(secret))
    return findings.error(
      'key-mismatch',
      `${path}/key`,
      places.key,
      `${files.key} is the key of another certificate than ${files.certificate}, which is that of ${nameOf(leaf)}. Put the two that belong together.`,
    );
  const able = ability(secret);
  if (able === null || attempt(() => createSecureContext({ cert: certificate, key })) === null)
    return findings.error(
      'certificate-unusable',
      `${path}/certificate`,
      place,
      `${files.certificate} and ${files.key} cannot be used for TLS: the key must be RSA of 2,048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519.`,
    );
  return { leaf, able };
}

/** RFC 8446 §4.4.2: each certificate should be followed by the one that issued it; many clients look no further than that. */
function noteOrder(certificate: string, file: string, path: string, place: Place, findings: Findings): void {
  const chain = (certificate.match(PEM) ?? []).slice(0, CHAIN_MAX).map((pem) => attempt(() => new X509Certificate(pem)));
  for (const [i, one] of chain.entries()) {
    const next = chain[i + 1];
    if (one === null || next === null || next === undefined || one.checkIssued(next)) continue;
    findings.warning(
      'certificate-order',
      `${path}/certificate`,
      place,
      `${file} has ${nameOf(next)} behind ${nameOf(one)}, which it has not issued, and some clients refuse that. Put each certificate before the one that issued it.`,
    );
    return;
  }
}

function noteEnd(leaf: X509Certificate, file: string, path: string, place: Place, nowMs: number, findings: Findings): void {
  const notAfter = Date.parse(leaf.validTo);
  const at = `${path}/certificate`;
  const day = new Date(notAfter).toISOString();
  if (notAfter <= nowMs) findings.warning('certificate-expired', at, place, `${file} ended at ${day}, and clients refuse it. Renew it.`);
  else if (notAfter - nowMs < EXPIRES_SOON_MS)
    findings.warning('certificate-expires', at, place, `${file} ends at ${day}. Renew it; a new one is read without a restart.`);
  if (Date.parse(leaf.validFrom) > nowMs)
    findings.warning('certificate-not-yet', at, place, `${file} is good from ${new Date(leaf.validFrom).toISOString()} on only.`);
}

type Staple = Pick<CertificateMaterial, 'ocsp' | 'ocspUntil'> & { readonly ocspFrom: number };

const NO_STAPLE: Staple = { ocsp: null, ocspUntil: Number.POSITIVE_INFINITY, ocspFrom: 0 };

/**
 * An OCSP response that clients would refuse is worse than none, and is left out. That is no error: it comes with every renewal, in which the
 * certificate is there before its response. null for what is none.
 */
function readStaple(file: string, leaf: X509Certificate, path: string, place: Place, nowMs: number, findings: Findings): Staple | null {
  const bytes = readBytes(file, path, place, findings);
  if (bytes === null) return null;
  const response = readOcspResponse(bytes);
  if (response === null) {
    const remedy = 'Write one with openssl ocsp -respout.';
    return findings.error(
      'ocsp-unusable',
      path,
      place,
      `${file} holds no OCSP response in DER that says how a certificate stands. ${remedy}`,
    );
  }
  const { serial, status, thisUpdate, nextUpdate } = response;
  const skip = (code: string, why: string, remedy: string) => {
    findings.warning(code, path, place, `${file} ${why}, so it is not stapled. ${remedy}`);
    return NO_STAPLE;
  };
  const own = withoutZeros(leaf.serialNumber);
  if (serial !== own)
    return skip('ocsp-other', `is about serial number ${serial}, and that of ${nameOf(leaf)} is ${own}`, 'Fetch a new one.');
  if (status !== 'good') return skip('ocsp-not-good', `says that the certificate is ${status}`, 'Ask its authority why.');
  if (nextUpdate <= nowMs)
    return skip('ocsp-expired', `held until ${new Date(nextUpdate).toISOString()}`, 'Fetch a new one; it is read without a restart.');
  if (thisUpdate > nowMs) {
    const day = new Date(thisUpdate).toISOString();
    findings.warning('ocsp-not-yet', path, place, `${file} holds from ${day} on only. Look at the clock of this machine.`);
  }
  return { ocsp: new Uint8Array(bytes), ocspUntil: nextUpdate, ocspFrom: thisUpdate };
}

const CURVE_SCHEMES: Readonly<Record<string, number>> = { prime256v1: 0x0403, secp384r1: 0x0503, secp521r1: 0x0603 };

/** What a key can sign with; null for kinds that TLS does not know. */
function ability(key: KeyObject): Ability | null {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return { kind: 'rsa', schemes: [0x0804, 0x0805, 0x0806] };
    case 'rsa-pss':
      return { kind: 'rsa', schemes: [0x0809, 0x080a, 0x080b] };
    case 'ec': {
      const scheme = CURVE_SCHEMES[key.asymmetricKeyDetails?.namedCurve ?? ''];
      return scheme === undefined ? null : { kind: 'ecdsa', schemes: [scheme] };
    }
    case 'ed25519':
      return { kind: 'eddsa', schemes: [0x0807] };
    case 'ed448':
      return { kind: 'eddsa', schemes: [0x0808] };
    default:
      return null;
  }
}

function nameOf(leaf: X509Certificate): string {
  return hostNamesOf(leaf)[0] ?? leaf.subject?.replaceAll('\n', ', ') ?? 'nobody';
}

function identify(value: unknown): string {
  return hash('sha256', JSON.stringify(value), 'hex');
}
