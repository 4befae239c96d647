/** The certificate that all peers end TLS with: ECDSA on P-256, which is the one where a proxy's own work shows the most. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runToEnd } from './launch.ts';

export interface BenchCertificate {
  readonly certificate: string;
  readonly key: string;
  /** Both in one file, as HAProxy wants it. */
  readonly both: string;
}

/** Made by openssl in a folder of the run. */
export async function makeCertificate(folder: string): Promise<BenchCertificate> {
  const [certificate, key, both] = [join(folder, 'bench.pem'), join(folder, 'bench.key'), join(folder, 'bench.both.pem')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = ['-subj', '/CN=bench', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:bench.example'];
  await runToEnd('all', 'openssl', ['req', '-x509', ...kind, '-keyout', key, '-out', certificate, '-days', '2', ...names], 10_000);
  await writeFile(both, (await readFile(certificate, 'latin1')) + (await readFile(key, 'latin1')));
  return { certificate, key, both };
}
