/** Reads the files that TLS is made of, and says of each what is wrong with it. Nothing here keeps or watches anything. */
import { createPrivateKey, hash, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { cwd } from 'node:process';
import { createSecureContext } from 'node:tls';
import type { Application, Place, Pool, Problem } from '../../config/document.ts';
import type { CertificateFiles, ClientCertificates, ServerTls, TlsTermination } from '../../config/tls.ts';
import { ServerContexts } from './contexts.ts';
import { hostNamesOf } from './identities.ts';
import type { CertificateMaterial, ClientMaterial, ServerMaterial } from './material.ts';
import { readOcspResponse, withoutZeros } from './ocsp-response.ts';

/** A bundle of every public authority has 250 KiB; revocation lists may be larger. */
export const TLS_FILE_BYTES_MAX = 16 * 1024 * 1024;
/** Told this long before the end, in time for somebody to come. */
export const EXPIRES_SOON_MS = 14 * 24 * 3_600_000;

/** Chains that lead anywhere are shorter; the rest of a longer one is not looked at. */
const CHAIN_MAX = 16;
const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** A certificate as metrics show it. */
export interface CertificateFact {
  /** Its first name, or else its subject. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

export interface Read<T> {
  /** null where an error stands among the problems. */
  readonly material: T | null;
  readonly problems: readonly Problem[];
  readonly certificates: readonly CertificateFact[];
}

/** Collects what is wrong with the files of one owner. */
class Findings {
  readonly problems: Problem[] = [];
  readonly certificates: CertificateFact[] = [];

  error(code: string, path: string, place: Place | null, message: string): null {
    this.problems.push({ code, severity: 'error', path, place, message });
    return null;
  }

  warning(code: string, path: string, place: Place | null, message: string): void {
    this.problems.push({ code, severity: 'warning', path, place, message });
  }

  get good(): boolean {
    return !this.problems.some((problem) => problem.severity === 'error');
  }
}

/** `tickets` are not files, and are added by whoever keeps them. */
export function readServer(application: Application, tls: TlsTermination, nowMs: number): Read<Omit<ServerMaterial, 'tickets'>> {
  const findings = new Findings();
  const path = `/applications/${application.name}/tls`;
  const certificates = tls.certificates.map((files, index) => readCertificate(files, `${path}/certificates/${index}`, nowMs, findings));
  const clients = tls.clients === null ? null : readClients(tls.clients, `${path}/clients`, findings);
  if (!findings.good) return { material: null, problems: findings.problems, certificates: findings.certificates };
  const said = {
    kind: 'terminate' as const,
    certificates: certificates as CertificateMaterial[],
    minimum: tls.minimum === '1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    ciphers: tls.ciphers.join(':'),
    curves: tls.curves.join(':'),
    alpn: tls.alpn,
    clients,
  };
  // A session of one application, or under other authorities, is none here.
  const realm = JSON.stringify([application.name, clients]);
  const material = { ...said, realm, id: identify([said, realm, tls.tickets]) };
  try {
    new ServerContexts({ ...material, tickets: null }, Date.now);
  } catch (error) {
    const what = (error as Error).message;
    findings.error(
      'tls-unusable',
      path,
      tls.place,
      `What is said of TLS cannot be had together (${what}). Leave out ciphers: and curves: first.`,
    );
    return { material: null, problems: findings.problems, certificates: findings.certificates };
  }
  return { material, problems: findings.problems, certificates: findings.certificates };
}

export function readClient(pool: Pool, tls: ServerTls, nowMs: number): Read<ClientMaterial> {
  const findings = new Findings();
  const path = `/pools/${pool.name}/tls`;
  const ca = tls.verify.kind === 'file' ? readAuthorities(tls.verify.ca, `${path}/verify`, tls.place, findings) : null;
  const own = tls.client === null ? null : readCertificate({ ...tls.client, ocsp: null }, path, nowMs, findings);
  if (!findings.good) return { material: null, problems: findings.problems, certificates: findings.certificates };
  const said = {
    ca,
    verifies: tls.verify.kind !== 'off',
    sni: tls.sni,
    certificate: own?.certificate ?? null,
    key: own?.key ?? null,
    alpn: tls.alpn,
  };
  return { material: { ...said, id: identify(said) }, problems: findings.problems, certificates: findings.certificates };
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

function readCertificate(files: CertificateFiles, path: string, nowMs: number, findings: Findings): CertificateMaterial | null {
  const { places } = files;
  const place = places.certificate;
  const certificate = readText(files.certificate, `${path}/certificate`, place, findings);
  const key = readText(files.key, `${path}/key`, places.key, findings);
  if (certificate === null || key === null) return null;
  const leaf = attempt(() => new X509Certificate(certificate));
  if (leaf === null)
    return findings.error(
      'certificate-unusable',
      `${path}/certificate`,
      place,
      `${files.certificate} holds no certificate in PEM. It begins with -----BEGIN CERTIFICATE-----; convert DER with openssl x509 -inform der.`,
    );
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
  noteEnd(leaf, files.certificate, path, place, nowMs, findings);
  noteOrder(certificate, files.certificate, path, place, findings);
  const staple = files.ocsp === null ? NO_STAPLE : readStaple(files.ocsp, leaf, `${path}/ocsp`, places.ocsp, nowMs, findings);
  return { certificate, key, ...staple, names: hostNamesOf(leaf), ...able };
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
  findings.certificates.push({ name: nameOf(leaf), notAfter });
  const at = `${path}/certificate`;
  const day = new Date(notAfter).toISOString();
  if (notAfter <= nowMs) findings.warning('certificate-expired', at, place, `${file} ended at ${day}, and clients refuse it. Renew it.`);
  else if (notAfter - nowMs < EXPIRES_SOON_MS)
    findings.warning('certificate-expires', at, place, `${file} ends at ${day}. Renew it; a new one is read without a restart.`);
  if (Date.parse(leaf.validFrom) > nowMs)
    findings.warning('certificate-not-yet', at, place, `${file} is good from ${new Date(leaf.validFrom).toISOString()} on only.`);
}

function readClients(clients: ClientCertificates, path: string, findings: Findings): ServerMaterial['clients'] {
  const ca = readAuthorities(clients.ca, `${path}/ca`, clients.place, findings);
  const crl = clients.crl === null ? null : readText(clients.crl, `${path}/crl`, clients.place, findings);
  if (crl !== null && attempt(() => createSecureContext({ crl })) === null)
    findings.error(
      'crl-unusable',
      `${path}/crl`,
      clients.place,
      `${clients.crl} holds no revocation list in PEM. It begins with -----BEGIN X509 CRL-----; convert DER with openssl crl -inform der.`,
    );
  return ca === null ? null : { required: clients.required, ca, crl };
}

function readAuthorities(file: string, path: string, place: Place, findings: Findings): string | null {
  const text = readText(file, path, place, findings);
  if (text === null) return null;
  const found = text.match(PEM) ?? [];
  if (found.length > 0 && found.every((pem) => attempt(() => new X509Certificate(pem)) !== null)) return text;
  return findings.error(
    'authorities-unusable',
    path,
    place,
    `${file} holds no certificates of authorities in PEM. Put at least one in it.`,
  );
}

type Staple = Pick<CertificateMaterial, 'ocsp' | 'ocspUntil'>;

const NO_STAPLE: Staple = { ocsp: null, ocspUntil: Number.POSITIVE_INFINITY };

/**
 * An OCSP response that clients would refuse is worse than none, and is left out. That is no error: it comes with every renewal, in which the
 * certificate is there before its response.
 */
function readStaple(file: string, leaf: X509Certificate, path: string, place: Place, nowMs: number, findings: Findings): Staple {
  const bytes = readBytes(file, path, place, findings);
  if (bytes === null) return NO_STAPLE;
  const response = readOcspResponse(bytes);
  if (response === null) {
    const remedy = 'Write one with openssl ocsp -respout.';
    findings.error('ocsp-unusable', path, place, `${file} holds no OCSP response in DER that says how a certificate stands. ${remedy}`);
    return NO_STAPLE;
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
  return { ocsp: new Uint8Array(bytes), ocspUntil: nextUpdate };
}

function readText(file: string, path: string, place: Place, findings: Findings): string | null {
  return readBytes(file, path, place, findings)?.toString('latin1') ?? null;
}

function readBytes(file: string, path: string, place: Place, findings: Findings): Buffer | null {
  try {
    if (statSync(file).size > TLS_FILE_BYTES_MAX)
      return findings.error('file-unreadable', path, place, `${file} has more than ${TLS_FILE_BYTES_MAX} bytes. Name another file.`);
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const remedy = isAbsolute(file)
      ? 'The user of the node must be able to read it.'
      : `Paths are relative to the working directory, which is ${cwd()} here; the user of the node must be able to read the file.`;
    return findings.error('file-unreadable', path, place, `${file} cannot be read (${code ?? message}). ${remedy}`);
  }
}

const CURVE_SCHEMES: Readonly<Record<string, number>> = { prime256v1: 0x0403, secp384r1: 0x0503, secp521r1: 0x0603 };

/** What a key can sign with; null for kinds that TLS does not know. */
function ability(key: KeyObject): Pick<CertificateMaterial, 'kind' | 'schemes'> | null {
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

function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch {
    return null;
  }
}

function identify(value: unknown): string {
  return hash('sha256', JSON.stringify(value), 'hex');
}
