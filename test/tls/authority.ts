/** Keys and certificates for tests, made by openssl: an authority, certificates of it by wish, and revocation. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Issued {
  readonly certificate: string;
  readonly key: string;
}

export interface Wish {
  readonly names?: readonly string[];
  readonly subject?: string;
  readonly kind?: 'ecdsa' | 'rsa' | 'ed25519';
  /** Days from now; negative: it has ended. */
  readonly days?: number;
}

const KINDS = {
  ecdsa: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['-newkey', 'rsa:2048'],
  ed25519: ['-newkey', 'ed25519'],
} as const;

export class Authority {
  readonly folder: string;
  readonly ca: string;
  private readonly key: string;
  private made = 0;

  constructor(name = 'Test Authority') {
    this.folder = mkdtempSync(join(tmpdir(), 'bulkhead-tls-'));
    this.ca = this.path('ca.pem');
    this.key = this.path('ca.key');
    openssl('req', '-x509', ...KINDS.ecdsa, '-nodes', '-keyout', this.key, '-out', this.ca, '-days', '30', '-subj', `/CN=${name}`);
    writeFileSync(this.path('index.txt'), '');
    writeFileSync(
      this.path('ca.cnf'),
      `[ca]\ndefault_ca=d\n[d]\ndatabase=${this.path('index.txt')}\ndefault_md=sha256\ndefault_crl_days=30\ncertificate=${this.ca}\nprivate_key=${this.key}\n`,
    );
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** `names` as openssl writes them: DNS:shop.example.com, URI:spiffe://…, IP:127.0.0.1. */
  issue({ names = [], subject = '/CN=test', kind = 'ecdsa', days = 30 }: Wish = {}): Issued {
    const at = this.path(String(++this.made));
    const [certificate, key, request, extensions] = [`${at}.pem`, `${at}.key`, `${at}.csr`, `${at}.ext`];
    openssl('req', '-new', ...KINDS[kind], '-nodes', '-keyout', key, '-out', request, '-subj', subject, '-utf8');
    writeFileSync(extensions, names.length === 0 ? 'basicConstraints=CA:FALSE\n' : `subjectAltName=${names.join(',')}\n`);
    const serial = ['-set_serial', String(1_000 + this.made)];
    openssl(
      ...['x509', '-req', '-in', request, '-CA', this.ca, '-CAkey', this.key, ...serial],
      ...['-out', certificate, '-days', String(days), '-extfile', extensions],
    );
    return { certificate, key };
  }

  /** A revocation list with these certificates in it. */
  revoke(...certificates: readonly Issued[]): string {
    const list = this.path(`${++this.made}.crl`);
    for (const { certificate } of certificates) openssl('ca', '-config', this.path('ca.cnf'), '-revoke', certificate);
    openssl('ca', '-config', this.path('ca.cnf'), '-gencrl', '-out', list);
    return list;
  }

  /** What the authority's responder says of a certificate, which holds for so many days: a response in DER. Asked before, it knows nothing of others. */
  staple({ certificate }: Issued, { days = 7, known = true } = {}): string {
    const response = this.path(`${++this.made}.ocsp`);
    const { serialNumber, subject } = new X509Certificate(readFileSync(certificate));
    const index = this.path(`${this.made}.index`);
    writeFileSync(index, known ? `V\t491231235959Z\t\t${serialNumber}\tunknown\t/${subject}\n` : '');
    openssl(
      ...['ocsp', '-index', index, '-CA', this.ca, '-rsigner', this.ca, '-rkey', this.key, '-issuer', this.ca, '-cert', certificate],
      ...['-ndays', String(days), '-noverify', '-respout', response],
    );
    return response;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

function openssl(...words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] });
}
