/** Certificates for tests, made by openssl: an authority, and what it signs. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Authority {
  readonly folder: string;
  /** What `--ca` takes. */
  readonly ca: string;
  /** Writes `NAME.pem` (with the authority behind it) and `NAME.key`. `names` as openssl has them: `DNS:admin.test,IP:127.0.0.1`. */
  issue(name: string, names: string, days?: number): { certificate: string; key: string };
}

export function makeAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-tls-'));
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', '/CN=authority');
  return {
    folder,
    ca: join(folder, 'ca.pem'),
    issue(name, names, days = 30) {
      const extensions = ['-addext', `subjectAltName=${names}`, '-addext', 'basicConstraints=critical,CA:FALSE'];
      openssl('req', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`, ...extensions);
      // `x509` takes days below nothing, for certificates that have ended; `req -x509` does not.
      const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy', '-days', String(days)];
      openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signing);
      return { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
    },
  };
}
