/** Keys that are right in other proxies, and how the same is said here: the nearest spelling of such a key would be another thing. */
import { shown } from './problem.ts';

export interface ElsewhereKey {
  /** The key that is meant. Where it is missing, nothing is said of that: one problem tells both. */
  readonly means?: string;
  /** Sentences that say what to write, where the name of a key does not. They see the mapping in which the key stands. */
  readonly hint?: string | ((beside: Readonly<Record<string, unknown>>, key: string) => string);
  /** What is wrong with the value of the meant key comes from the split into two, and is not said either. */
  readonly covers?: true;
}

/** Keys in lower case, with "-" for "_". */
export type ElsewhereKeys = Readonly<Record<string, ElsewhereKey>>;

/** The entry of a key as somebody wrote it. */
export function elsewhereKey(keys: ElsewhereKeys | undefined, written: string): ElsewhereKey | undefined {
  const key = written.toLowerCase().replaceAll('_', '-');
  return keys !== undefined && Object.hasOwn(keys, key) ? keys[key] : undefined;
}

const all = (names: string, entry: ElsewhereKey): ElsewhereKeys => Object.fromEntries(names.split(' ').map((name) => [name, entry]));
const mean = (means: string): ElsewhereKey => ({ means });

const UDP: ElsewhereKeys = { udp: { hint: 'UDP is not served here; remove it.' } };
const QUARANTINE = all('quarantine quarantines', {
  hint: 'A quarantine is no part of the file but a command: bulkhead quarantine 198.51.100.7 --for 1h --reason "…".',
});
const BACKUP: ElsewhereKeys = {
  backup: { hint: 'There are no backup servers: a server takes its share whenever its checks find it up. Leave backup: out.' },
};
const HEALTH_OF_POOL: ElsewhereKey = { hint: 'Servers are checked by their pool: health: { type: tcp } in it.' };

/** Of the file itself. */
export const FILE_KEYS: ElsewhereKeys = {
  ...UDP,
  ...QUARANTINE,
  ...all('backend backends upstream upstreams cluster clusters servers', mean('pools')),
  ...all('frontend frontends service services listen listener listeners apps', mean('applications')),
  ...all('sources groups', mean('segments')),
  ...all('rule rules policy policies acl acls', {
    hint: 'Rules stand in their application, as rules: in it; those for every application under guardrails: or baseline:.',
  }),
  ...all('admin workers state node log geo resolvers', { hint: 'It belongs under process:.' }),
  ...all('inbound outbound', { hint: 'It belongs under networks:.' }),
  ...all('global defaults', { hint: 'There is no such section: what the process needs is under process:, all else where it is used.' }),
  ...all('apiversion kind', { hint: 'The file is no manifest of Kubernetes: it has version: 1, pools: and applications: at its top.' }),
};

export const POOL_KEYS: ElsewhereKeys = {
  ...UDP,
  ...BACKUP,
  ...all('check checks healthcheck health-check health-checks', mean('health')),
  ...all('hosts members endpoints targets nodes backends upstreams addresses instances', mean('servers')),
  ...all('server address', { means: 'servers', hint: 'Write servers as a list: servers: [127.0.0.1:9001].' }),
  ...all('algorithm lb-policy strategy policy method', mean('balance')),
  ...all('sticky stickiness cookie session-affinity affinity', {
    hint: 'A source keeps its server with balance: source-hash or balance: maglev.',
  }),
  ...all('outlier-detection circuit-breaker', mean('ejection')),
  ...all('retry', mean('retries')),
  ...all('keepalive keep-alive', mean('idle')),
  ...all('ssl', mean('tls')),
  ...all('timeout timeouts', {
    hint: 'How long flows may take is said in their application, as timeouts: in it; a check has its timeout: under health:.',
  }),
  ...all('vips vip listen bind', { hint: 'A pool only has servers; where clients connect is said by vips: of an application.' }),
};

const ADDRESS: ElsewhereKey = {
  means: 'address',
  covers: true,
  hint: ({ address, host, ip, hostname, port }) => {
    const where = [address, host, ip, hostname].find((one) => typeof one === 'string' && one !== '');
    return `The address and its port are one text: address: ${spoken(where) ?? '127.0.0.1'}:${spoken(port) ?? '9001'}.`;
  },
};

/** Of a server that is written as a mapping. */
export const SERVER_KEYS: ElsewhereKeys = {
  ...BACKUP,
  ...all('port host ip hostname', ADDRESS),
  ...all('name id', { hint: 'A server goes by its address, and has no other name.' }),
  ...all('check health', HEALTH_OF_POOL),
  ...all('disabled down maintenance', { means: 'drain', hint: 'A server with drain: true takes no new flows.' }),
};

export const HEALTH_KEYS: ElsewhereKeys = {
  ...all('uri url', mean('path')),
  ...all('every period', mean('interval')),
  ...all('status codes', mean('expect')),
  ...all('healthy-threshold', mean('rise')),
  ...all('unhealthy-threshold', mean('fall')),
};

const CERTIFICATES = 'certificates: [{ certificate: ./a.pem, key: ./a.key }]';

export const APPLICATION_KEYS: ElsewhereKeys = {
  ...UDP,
  ...QUARANTINE,
  ...all('backend backends upstream upstreams service default-backend proxy-pass', mean('pool')),
  ...all('listen listener listeners bind vip frontend address', {
    means: 'vips',
    hint: (beside, key) => `Write it as a list: vips: [${spoken(beside[key]) ?? '127.0.0.1:8080'}].`,
  }),
  ...all('port ports', { means: 'vips', hint: 'Addresses and ports are given together: vips: [127.0.0.1:8080].' }),
  ...all('servers', { means: 'pool', hint: 'Servers stand in a pool, under pools: at the top of the file, and its name here: pool: web.' }),
  ...all('protocol type', mean('mode')),
  ...all('timeout', mean('timeouts')),
  ...all('acl acls policy policies allow deny', mean('rules')),
  ...all('rate-limit rate-limits', {
    hint: 'Rates are limited by the rule that allows: limits: { requests: 100/s } in it.',
  }),
  ...all('ssl', mean('tls')),
  ...all('cert certs certificate certificates', { hint: `Certificates stand under tls: tls: { ${CERTIFICATES} }.` }),
  ...all('check health', HEALTH_OF_POOL),
  ...all('host hosts server-name domain domains', {
    hint: 'Hosts are told apart by routes: or rules:, as http: { hosts: [shop.example.com] } in them.',
  }),
};

export const RULE_KEYS: ElsewhereKeys = {
  ...UDP,
  ...QUARANTINE,
  ...all('source src sources clients', mean('from')),
  ...all('port dport', mean('ports')),
  ...all('protocol proto', mean('protocols')),
  ...all('identity', mean('identities')),
  ...all('id rule', mean('name')),
  ...all('expires expiry', mean('until')),
  ...all('dry-run', mean('shadow')),
  ...all('rate-limit rate rps', { means: 'limits', hint: 'Write limits: { requests: 100/s }.' }),
  ...all('allow deny accept reject', {
    means: 'action',
    hint: (_, key) => `Write action: ${/^(?:allow|accept)$/i.test(key) ? 'allow' : 'deny'}; whom it is for stands under from:.`,
  }),
  ...all('verdict policy then', mean('action')),
  ...all('path paths method methods host hosts headers', {
    hint: (_, key) => {
      const name = key.toLowerCase().replace(/s?$/, 's');
      const example = { paths: '[/admin/*]', methods: '[GET]', hosts: '[shop.example.com]' }[name] ?? '{ x-team: blue }';
      return `What a request must be stands under http: http: { ${name}: ${example} }.`;
    },
  }),
  ...all('country countries asn asns', { hint: 'Where sources are is said by a segment, whose name stands under from:.' }),
  ...all('to dst dest destination', { hint: 'The destination is the application that the rule stands in; ports: narrows it.' }),
};

export const SEGMENT_KEYS: ElsewhereKeys = {
  ...QUARANTINE,
  ...all('cidrs cidr ips ip ipblock address prefix prefixes networks ranges', mean('addresses')),
  ...all('country', mean('countries')),
  ...all('asn', mean('asns')),
  ...all('host hosts hostname hostnames domains fqdn', mean('dns')),
  ...all('not exclude excludes', mean('except')),
};

/** Of `limits:` of a rule. */
export const RULE_LIMIT_KEYS: ElsewhereKeys = {
  ...all('rps qps requests-per-second', { means: 'requests', hint: 'Write requests: 100/s.' }),
  ...all('connections conns max-connections', mean('flows')),
  ...all('new-connections', mean('new-flows')),
  ...all('bandwidth', { means: 'bytes', hint: 'Write bytes: 1MiB/s.' }),
  ...all('by key', mean('per')),
};

/** Of `tls:` of an application. */
export const TLS_KEYS: ElsewhereKeys = {
  ...all('cert certs crt pem certificate key private-key ssl-certificate ssl-certificate-key', {
    means: 'certificates',
    hint: `Write ${CERTIFICATES}.`,
  }),
  ...all('ca client-ca', { means: 'clients', hint: 'Certificates of clients are asked for by clients: { ca: ./ca.pem }.' }),
  ...all('min-version minimum-version version protocols', { means: 'minimum', hint: 'Write minimum: "1.2" or "1.3".' }),
  ...all('cipher', mean('ciphers')),
};

/** Of `tls:` of a pool. */
export const SERVER_TLS_KEYS: ElsewhereKeys = {
  ...all('ca ca-file cafile', { means: 'verify', hint: 'The authorities to believe are named by verify: verify: ./ca.pem.' }),
  ...all('insecure skip-verify insecure-skip-verify', { means: 'verify', hint: 'Write verify: off, and anybody is believed.' }),
  ...all('server-name servername', mean('sni')),
  ...all('cert crt', mean('certificate')),
  ...all('private-key', mean('key')),
};

/** A scalar as a part of a sentence; undefined for everything else. */
function spoken(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || value === '') return undefined;
  return /^[A-Za-z0-9._:[\]/-]{1,60}$/.test(value) ? value : shown(value);
}
