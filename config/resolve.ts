/** From a shape to the document: defaults are in, names are looked up, lanes and conflicts are checked. */
import { availableParallelism, hostname } from 'node:os';
import { prefixContains } from './address.ts';
import { ADMIN_LISTEN_DEFAULT, LANE_DEFAULT, LOOPBACK } from './defaults.ts';
import type { AdminToken, Document, Networks, ProcessSettings } from './document.ts';
import { warnOfHostBits } from './host-bits.ts';
import { checkIdentityCases } from './identity-cases.ts';
import { Names } from './names.ts';
import { shown } from './problem.ts';
import { resolveApplications } from './resolve-applications.ts';
import { resolvePools } from './resolve-pools.ts';
import { resolveRules } from './resolve-rules.ts';
import { resolveSegments } from './resolve-segments.ts';
import { resolveTests } from './resolve-tests.ts';
import type { FileShape } from './schema.ts';
import type { Shaped } from './shape.ts';
import type { Tree } from './tree.ts';
import { Report } from './tree.ts';

/** Resolves what has a shape; `original` is the tree before anything wrong was left out of it. Problems go to `report`. */
export function resolveDocument(shaped: Shaped, original: Tree, problems: Report['problems']): Document {
  const { file, tree } = shaped;
  const report = new Report(tree, problems);
  const names = new Names(original, report);
  const networks = resolveNetworks(file, report);
  // A lane that lost an entry would make false complaints about everything that this entry held.
  const lanes = isWhole(original, tree, 'networks') ? networks : null;
  const process = resolveProcess(file, report);
  checkResolvers(file, report);
  const segments = resolveSegments(file, names, original, report);
  const pools = resolvePools(file, lanes, report);
  const applications = resolveApplications(file, names, lanes, process.admin, report);
  const vipPorts = applications.flatMap((application) =>
    application.vips.flatMap(({ endpoint }) => (endpoint.kind === 'tcp' ? [endpoint.port] : [])),
  );
  const everywhere = { mode: null, vipPorts: sorted(vipPorts), names, report };
  const guardrails = resolveRules(file.guardrails, ['guardrails'], everywhere);
  const baseline = resolveRules(file.baseline, ['baseline'], everywhere);
  const lists = applications.map(({ name, rules }) => [rules, ['applications', name, 'rules']] as const);
  checkIdentityCases(segments, [[guardrails, ['guardrails']], [baseline, ['baseline']], ...lists], report);
  const tests = resolveTests(file, names, report);
  if (applications.length === 0 && problems.every(({ severity }) => severity !== 'error')) {
    const message =
      'The file has no applications, so that nothing listens and no flow is carried. Add one: applications: { shop: { vips: [127.0.0.1:8080], mode: http, pool: web } }.';
    report.warning('no-applications', ['applications'], message, { side: 'key' });
  }
  return {
    version: 1,
    process,
    networks,
    segments,
    pools,
    applications,
    guardrails,
    baseline,
    tests,
    silence: file.silence ?? [],
    source: original.data,
  };
}

function resolveNetworks(file: FileShape, report: Report): Networks {
  for (const lane of ['inbound', 'outbound', 'cluster'] as const) warnOfHostBits(file.networks[lane] ?? [], ['networks', lane], report);
  const { inbound = LANE_DEFAULT, outbound = LANE_DEFAULT, cluster = [] } = file.networks;
  return { inbound, outbound, cluster };
}

function resolveProcess(file: FileShape, report: Report): ProcessSettings {
  const { process } = file;
  const journal = {
    sizeBytes: process.journal.size,
    segmentBytes: process.journal.segment,
    ageMs: process.journal.age === 'off' ? null : process.journal.age,
  };
  if (journal.segmentBytes > journal.sizeBytes) {
    report.error(
      'out-of-range',
      ['process', 'journal'],
      'A segment of the journal cannot be larger than the journal. Make segment: smaller than size:, a sixteenth of it for example.',
      { side: 'key' },
    );
  }
  return {
    node: process.node ?? hostname(),
    workers: process.workers === 'auto' ? availableParallelism() : process.workers,
    admin: process.admin === 'off' ? null : process.admin.listen,
    adminTokens: resolveAdmin(file, report),
    adminTls: process.admin === 'off' ? null : (process.admin.tls ?? null),
    state: process.state === 'off' ? null : process.state,
    journal,
    log: process.log,
    answers: process.answers,
    connections: process.limits.connections,
    geo: { country: process.geo.country ?? null, asn: process.geo.asn ?? null },
    resolvers: process.resolvers.flatMap((resolver) => (resolver.kind === 'tcp' ? [resolver.text] : [])),
  };
}

/** Tokens travel over the admin endpoint: without TLS they may do so on this machine only. */
function resolveAdmin({ process: { admin } }: FileShape, report: Report): AdminToken[] {
  if (admin === 'off') return [];
  const { listen, tokens, tls } = admin;
  if (tls === undefined && listen.kind === 'tcp' && !LOOPBACK.some((prefix) => prefixContains(prefix, listen.address))) {
    const message = `The admin endpoint has no TLS, so it may not listen on ${shown(listen.text)}, which others can reach. Give it tls: { certificate: admin.pem, key: admin.key } with PEM files of your own, or write a loopback address such as ${ADMIN_LISTEN_DEFAULT}, or a unix socket.`;
    report.error('admin-without-tls', ['process', 'admin', 'listen'], message);
  }
  if (tls !== undefined && listen.kind === 'unix') {
    const message = 'A unix socket is kept by the permission of its file, and takes no TLS. Leave tls: out, or listen on an address.';
    report.error('admin-tls-over-unix', ['process', 'admin', 'tls'], message, { side: 'key' });
  }
  const known = new Map<string, number>();
  return tokens.map(({ name, role, hash }, index) => {
    const earlier = known.get(name);
    if (earlier !== undefined)
      report.error(
        'duplicate-name',
        ['process', 'admin', 'tokens', index, 'name'],
        `Another token is named ${shown(name)}. Give each a name of its own.`,
      );
    known.set(name, index);
    return { name, role, sha256: hash.slice('sha256:'.length) };
  });
}

function checkResolvers(file: FileShape, report: Report): void {
  for (const [index, resolver] of file.process.resolvers.entries()) {
    if (resolver.kind === 'unix')
      report.error(
        'bad-address',
        ['process', 'resolvers', index],
        'A DNS server is asked over the network. Write its address and port, such as 127.0.0.1:53.',
      );
  }
}

/** Whether nothing was left out of a section. */
function isWhole(original: Tree, tree: Tree, section: string): boolean {
  const before = (original.data as Record<string, unknown>)[section];
  const after = (tree.data as Record<string, unknown>)[section];
  return before === after && ![...original.lost].some((pointer) => pointer === `/${section}` || pointer.startsWith(`/${section}/`));
}

function sorted(ports: readonly number[]): number[] {
  return [...new Set(ports)].sort((a, b) => a - b);
}
