/** TLS of applications and pools: what the mode can carry, and what belongs together. */
import { ALPN_HTTP_DEFAULT } from './defaults.ts';
import type { Mode, Server } from './document.ts';
import { shown } from './problem.ts';
import type { FileShape } from './schema.ts';
import type { ApplicationTls, CertificateFiles, ServerTls } from './tls.ts';
import type { Path, Report } from './tree.ts';

type ApplicationTlsShape = FileShape['applications'][string]['tls'];
type ServerTlsShape = FileShape['pools'][string]['tls'];

/** `mode` is null where it is wrong itself. */
export function resolveApplicationTls(
  shape: ApplicationTlsShape,
  mode: Mode | null,
  application: Path,
  report: Report,
): ApplicationTls | null {
  if (shape === undefined) return null;
  const path = [...application, 'tls'];
  if (shape === 'passthrough') {
    if (mode === 'http')
      report.error(
        'mode-mismatch',
        path,
        'What passes through encrypted cannot be read as requests. Write mode: tcp, or give certificates: to end TLS here.',
      );
    return { kind: 'passthrough' };
  }
  checkCiphers(shape, path, report);
  return {
    kind: 'terminate',
    certificates: shape.certificates.map(({ certificate, key, ocsp }, index) => {
      const entry = [...path, 'certificates', index];
      return { certificate, key, ocsp: ocsp ?? null, place: report.place(entry), places: placesOf(entry, report) };
    }),
    minimum: shape.minimum,
    ciphers: shape.ciphers,
    curves: shape.curves,
    alpn: shape.alpn ?? (mode === 'http' ? ALPN_HTTP_DEFAULT : []),
    clients:
      shape.clients === undefined
        ? null
        : {
            required: shape.clients.verify === 'required',
            ca: shape.clients.ca,
            crl: shape.clients.crl ?? null,
            place: report.place([...path, 'clients']),
          },
    tickets: shape.tickets === 'off' ? null : { rotateMs: shape.tickets.rotate },
    place: report.place(path, 'key'),
  };
}

function placesOf(path: Path, report: Report): CertificateFiles['places'] {
  const at = (key: string) => report.place([...path, key]);
  return { certificate: at('certificate'), key: at('key'), ocsp: at('ocsp') };
}

/** A version without a cipher suite of its own would refuse every client that speaks no other. */
function checkCiphers(shape: Exclude<ApplicationTlsShape, 'passthrough' | undefined>, path: Path, report: Report): void {
  const ofThirteen = shape.ciphers.filter((name) => name.startsWith('TLS_')).length;
  if (ofThirteen === 0) {
    const message = 'No cipher suite of TLS 1.3 is in the list, so that no client could speak it. Add TLS_AES_128_GCM_SHA256 for example.';
    report.error('tls-without-cipher', [...path, 'ciphers'], message);
  } else if (shape.minimum === '1.2' && ofThirteen === shape.ciphers.length) {
    const message =
      'No cipher suite of TLS 1.2 is in the list, so that no client could speak it. Add ECDHE-ECDSA-AES128-GCM-SHA256 for example, or write minimum: "1.3".';
    report.error('tls-without-cipher', [...path, 'ciphers'], message);
  }
}

export function resolveServerTls(shape: ServerTlsShape, servers: readonly Server[], pool: Path, report: Report): ServerTls | null {
  if (shape === undefined) return null;
  const path = [...pool, 'tls'];
  const { certificate, key } = shape;
  if ((certificate === undefined) !== (key === undefined)) {
    const [there, missing] = certificate === undefined ? ['key', 'certificate'] : ['certificate', 'key'];
    report.error(
      'missing-key',
      [...path, there],
      `A certificate and its key go together: ${missing}: is missing. Add it, or remove ${there}:.`,
      {
        side: 'key',
      },
    );
  }
  const unix = servers.find(({ endpoint }) => endpoint.kind === 'unix');
  if (unix !== undefined && shape.verify !== 'off' && shape.sni === undefined) {
    const message = `The certificate of ${shown(unix.endpoint.text)} can be held against no address. Write sni: with the name that it has, or verify: off.`;
    report.error('missing-key', path, message, { side: 'key' });
  }
  return {
    verify: shape.verify === true ? { kind: 'system' } : shape.verify === 'off' ? { kind: 'off' } : { kind: 'file', ca: shape.verify },
    sni: shape.sni ?? null,
    client:
      certificate === undefined || key === undefined
        ? null
        : { certificate, key, place: report.place(path, 'key'), places: placesOf(path, report) },
    alpn: shape.alpn ?? [],
    place: report.place(path, 'key'),
  };
}
