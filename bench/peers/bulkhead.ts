/** Bulkhead itself, run from this tree as a user runs it: rules, metrics, log and journal on. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch } from '../launch.ts';
import { freePorts } from '../ports.ts';
import { type Peer, type ProxyPorts, type RunningPeer, type Setup, whenReady } from './peer.ts';

/** 100,000 prefixes in one file take a while to read. */
const READY_TIMEOUT_MS = 60_000;
/** As its users start it. */
const LAUNCHER = fileURLToPath(new URL('../../proxy/runtime/bulkhead.sh', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../package.json', import.meta.url));

/** What a document says beyond its plumbing: YAML below `segments:`, and below `rules:` of the applications for HTTP and for small TCP flows. */
export interface PolicyText {
  /** Lines with an indentation of two, or nothing. */
  readonly segments: string;
  /** Lines with an indentation of six. */
  readonly rules: string;
  /** In place of the rules of the application for HTTP: lines with an indentation of four, its rules among them. */
  readonly web?: string;
}

export const ANYONE_RULE = '      - { name: anyone, action: allow }';
const ANYONE: PolicyText = { segments: '', rules: ANYONE_RULE };

export const bulkhead: Peer = bulkheadWith('bulkhead', ANYONE);

/** Bulkhead on a policy of the caller's. */
export function bulkheadWith(name: string, policy: PolicyText): Peer {
  return {
    name,
    tcp: true,
    logging: 'rules, metrics, log and flow journal on',
    settings: 'workers 1, one rule that allows everybody, 256 idle connections to a server, X-Forwarded-For/-Proto/-Host and Forwarded',
    version: async () => (JSON.parse(readFileSync(PACKAGE, 'utf8')) as { version: string }).version,
    start: (setup) => start(name, policy, setup),
  };
}

async function start(name: string, policy: PolicyText, setup: Setup): Promise<RunningPeer> {
  const [http, echo, bulk, https, admin] = (await freePorts(5)) as [number, number, number, number, number];
  // Clients of HTTP/2 are known by their first bytes.
  const ports: ProxyPorts = { http, echo, bulk, https, h2: http };
  const file = join(setup.folder, 'bulkhead.yaml');
  await writeFile(file, documentText(policy, setup, ports, admin));
  const launched = await launch(setup.cores, 'sh', [LAUNCHER, 'run', file], { cwd: setup.folder });
  return whenReady(name, launched, ports, [`http://127.0.0.1:${admin}/readyz`, `http://127.0.0.1:${http}/`], READY_TIMEOUT_MS);
}

/** The file that Bulkhead is run on. */
export function documentText(policy: PolicyText, setup: Setup, ports: ProxyPorts, adminPort: number): string {
  const { backends, certificate } = setup;
  const tls = `{ certificates: [{ certificate: ${JSON.stringify(certificate.certificate)}, key: ${JSON.stringify(certificate.key)} }] }`;
  const applications = [
    { name: 'web', mode: 'http', port: ports.http, backend: backends.http },
    { name: 'secure', mode: 'http', port: ports.https, backend: backends.http, tls },
    { name: 'echo', mode: 'tcp', port: ports.echo, backend: backends.echo },
    { name: 'bulk', mode: 'tcp', port: ports.bulk, backend: backends.bulk },
  ];
  return `version: 1
process:
  node: bench
  workers: ${setup.workers}
  admin: { listen: 127.0.0.1:${adminPort} }
  state: ${JSON.stringify(join(setup.folder, 'state'))}
networks:
  inbound: [127.0.0.0/8]
  outbound: [127.0.0.0/8]
${policy.segments === '' ? '' : `segments:\n${policy.segments}\n`}pools:
${applications.map((a) => `  ${a.name}:\n    servers: [127.0.0.1:${a.backend}]\n    idle: { connections: 256, timeout: 10m }`).join('\n')}
applications:
${applications.map((a) => `  ${a.name}:\n    vips: [127.0.0.1:${a.port}]\n    mode: ${a.mode}\n    pool: ${a.name}\n${'tls' in a ? `    tls: ${a.tls}\n` : ''}    timeouts: { idle: 10m, keep-alive: 10m }\n${(a.name === 'web' ? policy.web : undefined) ?? `    rules:\n${a.name === 'bulk' ? ANYONE.rules : policy.rules}`}`).join('\n')}
`;
}
