/** Reads what clients are known by: the authorities of their certificates, and who of them is revoked. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Place } from '../../config/document.ts';
import type { ClientCertificates } from '../../config/tls.ts';
import { attempt, type Findings, readText } from './file-findings.ts';
import type { ServerMaterial } from './material.ts';
import { type RevocationList, revocationListsIn, subjectOf } from './revocation-list.ts';

/** Told this long before the end, in time for somebody to come. */
export const EXPIRES_SOON_MS = 14 * 24 * 3_600_000;
/** A certificate in PEM. */
export const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

export interface ClientsRead {
  readonly material: NonNullable<ServerMaterial['clients']>;
  readonly revocations: readonly RevocationList[];
}

/** `before`: what was read earlier, of which a file that is no good now leaves its part in use. */
export function readClients(
  clients: ClientCertificates,
  path: string,
  nowMs: number,
  findings: Findings,
  before: ClientsRead | null,
): ClientsRead | null {
  const { place, required } = clients;
  const ca = readAuthorities(clients.ca, `${path}/ca`, place, findings) ?? before?.material.ca ?? null;
  if (ca === null || clients.crl === null) return ca === null ? null : { material: { required, ca, crl: null }, revocations: [] };
  const at = `${path}/crl`;
  const text = readText(clients.crl, at, place, findings);
  const isGood = text !== null && attempt(() => createSecureContext({ crl: text })) !== null;
  if (text !== null && !isGood) {
    const remedy = 'It begins with -----BEGIN X509 CRL-----; convert DER with openssl crl -inform der.';
    findings.error('crl-unusable', at, place, `${clients.crl} holds no revocation list in PEM. ${remedy}`);
  }
  const crl = isGood ? text : (before?.material.crl ?? null);
  if (crl === null) return null;
  const revocations = revocationListsIn(crl);
  noteRevocations(revocations, clients.crl, at, place, nowMs, findings);
  const listed = new Set(revocations.map(({ issuer }) => issuer.key));
  for (const pem of ca.match(PEM) ?? []) {
    const name = subjectOf(new X509Certificate(pem).raw);
    if (name === null || listed.has(name.key)) continue;
    const remedy = 'Put the list of each authority into the file, one behind the other.';
    findings.warning('crl-missing', at, place, `${clients.crl} has no list of ${name.text}, so every client of it is refused. ${remedy}`);
  }
  return { material: { required, ca, crl }, revocations };
}

function noteRevocations(
  lists: readonly RevocationList[],
  file: string,
  path: string,
  place: Place,
  nowMs: number,
  findings: Findings,
): void {
  for (const list of lists) {
    if (!endsSoon(list, nowMs)) continue;
    const day = new Date(list.nextUpdate).toISOString();
    const whose = `The list of ${list.issuer.text} in ${file}`;
    const remedy = 'a new one is read without a restart.';
    if (list.nextUpdate <= nowMs)
      findings.warning('crl-expired', path, place, `${whose} ended at ${day}, and every client of it is refused. Renew it; ${remedy}`);
    else
      findings.warning('crl-expires', path, place, `${whose} ends at ${day}, and then every client of it is refused. Renew it; ${remedy}`);
  }
}

/** Or has ended. Lists are renewed long before their end, and some hold for a day. */
export function endsSoon({ thisUpdate, nextUpdate }: RevocationList, nowMs: number): boolean {
  return nextUpdate - nowMs < Math.min(EXPIRES_SOON_MS, (nextUpdate - thisUpdate) / 4);
}

/** null where an error is among the findings. */
export function readAuthorities(file: string, path: string, place: Place, findings: Findings): string | null {
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
