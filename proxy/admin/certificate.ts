/**
 * The certificate and key of the admin endpoint. The files are looked at every few seconds, and a pair that is whole takes the place of the one
 * before it for connections that come; one that is not leaves what was, and says so.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { AdminTls } from '../../config/document.ts';
import { AdminError } from './listen.ts';

/** Certificates are renewed days before they end; a look at two inodes costs nothing. */
export const CERTIFICATE_POLL_MS_DEFAULT = 5_000;
/** A chain is a few KiB; whatever is larger is another file. */
const FILE_BYTES_MAX = 1024 * 1024;
/** Told this long before the end, in time for somebody to come. */
const EXPIRES_SOON_MS = 14 * 24 * 3_600_000;

interface Pair {
  readonly stamp: string;
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly leaf: X509Certificate;
}

export interface CertificateEvents {
  /** A new pair is in use. */
  changed(pair: { readonly cert: Buffer; readonly key: Buffer }): void;
  trouble(message: string): void;
}

export class Certificate {
  readonly #files: AdminTls;
  #pair: Pair;
  #timer: NodeJS.Timeout | null = null;
  /** What the files looked like at the last look: a renewal that is still being written looks different at each. */
  #seen: string;
  /** What they looked like when they were no good, and why: not tried again until they look different. `stamp` null: tried again at every look. */
  #failed: { readonly stamp: string | null; readonly why: string } | null = null;

  /** Throws an `AdminError` that says which file is wrong and what to do. */
  constructor(files: AdminTls) {
    this.#files = files;
    this.#pair = readPair(files);
    this.#seen = this.#pair.stamp;
  }

  get secure(): { readonly cert: Buffer; readonly key: Buffer } {
    return { cert: this.#pair.cert, key: this.#pair.key };
  }

  /** End of the certificate, in milliseconds since the epoch. */
  get notAfter(): number {
    return Date.parse(this.#pair.leaf.validTo);
  }

  /** Whether it was made out to this host name or address. */
  isFor(host: string): boolean {
    const { leaf } = this.#pair;
    return (isIP(host) > 0 ? leaf.checkIP(host) : leaf.checkHost(host)) !== undefined;
  }

  /** Follows the files until `stop`; `pollMs` is how long a renewal may go unseen, twice. */
  watch(events: CertificateEvents, pollMs = CERTIFICATE_POLL_MS_DEFAULT): void {
    this.#warnOfEnd(events);
    this.#timer = setInterval(() => this.#look(events), pollMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #look(events: CertificateEvents): void {
    const stamp = stampOf(this.#files);
    // Also where somebody has put back what was there before.
    if (stamp === this.#pair.stamp) this.#failed = null;
    if (stamp === this.#pair.stamp || stamp === this.#failed?.stamp) return;
    if (stamp !== this.#seen) {
      this.#seen = stamp;
      return;
    }
    try {
      this.#pair = readPair(this.#files);
      this.#failed = null;
      events.changed(this.secure);
      this.#warnOfEnd(events);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const before = this.#failed;
      this.#failed = { stamp: isUnread(error) ? null : stamp, why };
      if (why !== before?.why) events.trouble(`${why} The pair that was read before stays in use.`);
    }
  }

  #warnOfEnd(events: CertificateEvents): void {
    if (this.notAfter - Date.now() > EXPIRES_SOON_MS) return;
    const ends = new Date(this.notAfter).toISOString();
    events.trouble(
      `The certificate ${this.#files.certificate} ends at ${ends}: put a newer one in its place, which is read without a restart.`,
    );
  }
}

/** Its bytes could not even be had. That may be over though the files look the same: after a chmod, or once there are descriptors again. */
function isUnread(error: unknown): boolean {
  return error instanceof AdminError && error.cause instanceof Error && 'errno' in error.cause;
}

function readPair(files: AdminTls): Pair {
  // Before the bytes: a change between the two is then seen at the next look.
  const stamp = stampOf(files);
  const cert = readPem('certificate', files.certificate);
  const key = readPem('key', files.key);
  const leaf = attempt(
    'certificate',
    `${files.certificate} holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----`,
    () => {
      return new X509Certificate(cert);
    },
  );
  const secret = attempt('key', `${files.key} holds no private key in PEM without a passphrase`, () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(secret))
    throw failure(
      'key',
      `${files.key} is the key of another certificate than ${files.certificate}, whose first certificate is that of ${subjectOf(leaf)}`,
    );
  attempt('certificate', `${files.certificate} and ${files.key} cannot be used for TLS`, () => createSecureContext({ cert, key }));
  return { stamp, cert, key, leaf };
}

function readPem(part: keyof AdminTls, file: string): Buffer {
  return attempt(part, `${file} cannot be read`, () => {
    if (statSync(file).size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`);
    return readFileSync(file);
  });
}

function attempt<T>(part: keyof AdminTls, otherwise: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw failure(part, `${otherwise} (${code ?? message})`, error);
  }
}

function failure(part: keyof AdminTls, message: string, cause?: unknown): AdminError {
  return new AdminError('admin-tls-unusable', `process.admin.tls.${part}: ${message}.`, cause, `/process/admin/tls/${part}`);
}

function subjectOf(leaf: X509Certificate): string {
  return (leaf.subjectAltName ?? leaf.subject).replace(/\s+/g, ' ');
}

function stampOf(files: AdminTls): string {
  return [files.certificate, files.key].map(stampOfFile).join(' ');
}

function stampOfFile(file: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(file);
    return `${ino}/${size}/${mtimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
