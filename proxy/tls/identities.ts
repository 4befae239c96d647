/** Who a certificate says its holder is: identities in the words that rules compare. */
import type { X509Certificate } from 'node:crypto';
import { formatAddress, parseAddress } from '../../config/address.ts';

/** One certificate tells no more than this: honest ones have a handful of names. */
export const IDENTITIES_MAX = 128;

/** Names first, as they stand in the certificate; then subject and issuer. */
export function identitiesOf(certificate: X509Certificate): string[] {
  const found = alternativeNames(certificate.subjectAltName ?? '').flatMap(identityOf);
  const subject = rdns(certificate.subject);
  for (const rdn of subject) if (rdn.startsWith('CN=')) found.push(`cn:${unescaped(rdn.slice(3))}`);
  if (subject.length > 0) found.push(`subject:${subject.toReversed().join(',')}`);
  const issuer = rdns(certificate.issuer);
  if (issuer.length > 0) found.push(`issuer:${issuer.toReversed().join(',')}`);
  return found.slice(0, IDENTITIES_MAX);
}

/** Names that a server certificate is for: lower case, wildcards as they are. Without any alternative name, the common name. */
export function hostNamesOf(certificate: X509Certificate): string[] {
  const names = alternativeNames(certificate.subjectAltName ?? '').filter(([kind]) => kind === 'DNS');
  if (names.length > 0) return names.map(([, name]) => name.toLowerCase());
  return rdns(certificate.subject)
    .filter((rdn) => rdn.startsWith('CN='))
    .map((rdn) => unescaped(rdn.slice(3)).toLowerCase());
}

function identityOf([kind, name]: readonly [string, string]): string[] {
  switch (kind) {
    case 'URI':
      return [name.startsWith('spiffe://') ? name : `uri:${name}`];
    case 'DNS':
      return [`dns:${name.toLowerCase()}`];
    case 'email':
      return [`email:${name}`];
    case 'IP Address': {
      const address = parseAddress(name);
      return address === null ? [] : [`ip:${formatAddress(address)}`];
    }
    default:
      return [];
  }
}

/** `DNS:a, URI:b`, with names that could be read otherwise in quotes (as JSON), as Node writes them. */
export function alternativeNames(text: string): (readonly [kind: string, name: string])[] {
  const names: (readonly [string, string])[] = [];
  let rest = text;
  while (rest !== '') {
    const match = /^([^:,]+):(?:("(?:[^"\\]|\\.)*")|([^,]*))(?:, |$)/.exec(rest);
    if (match === null) return names;
    const [whole, kind, quoted, plain] = match;
    const name = quoted === undefined ? plain! : unquoted(quoted);
    if (name !== null) names.push([kind!, name]);
    rest = rest.slice(whole!.length);
  }
  return names;
}

function unquoted(text: string): string | null {
  try {
    return JSON.parse(text) as string;
  } catch {
    return null;
  }
}

/** One a line, each escaped as in RFC 4514 §2.4, the most general first. */
function rdns(name: string | undefined): string[] {
  return (name ?? '').split('\n').filter((line) => line !== '');
}

/** RFC 4514 §2.4: `\,` and the like, and `\C3\B6` for bytes of UTF-8. */
function unescaped(value: string): string {
  return value.replace(/(?:\\[0-9A-Fa-f]{2})+|\\(.)/g, (all, character: string | undefined) =>
    character === undefined ? Buffer.from(all.replaceAll('\\', ''), 'hex').toString('utf8') : character,
  );
}
