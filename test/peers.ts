/**
 * The real peers that tests talk to, from Debian: which binary proves each, which package brings it. Tests ask `findPeer`
 * and skip themselves with a reason where a peer is missing; `npm test` installs what is missing when it runs as root.
 */
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Peer {
  readonly name: string;
  readonly binary: string;
  readonly debianPackage: string;
}

export const PEERS: readonly Peer[] = [
  { name: 'HAProxy', binary: 'haproxy', debianPackage: 'haproxy' },
  { name: 'nginx', binary: 'nginx', debianPackage: 'nginx' },
  { name: 'stream module of nginx', binary: '/usr/lib/nginx/modules/ngx_stream_module.so', debianPackage: 'libnginx-mod-stream' },
  { name: 'Redis', binary: 'redis-server', debianPackage: 'redis-server' },
  { name: 'PostgreSQL', binary: 'postgres', debianPackage: 'postgresql' },
  { name: 'psql', binary: 'psql', debianPackage: 'postgresql-client' },
  { name: 'redis-cli', binary: 'redis-cli', debianPackage: 'redis-tools' },
  { name: 'pgbench', binary: 'pgbench', debianPackage: 'postgresql' },
  { name: 'MariaDB', binary: 'mariadbd', debianPackage: 'mariadb-server' },
  { name: 'mariadb', binary: 'mariadb', debianPackage: 'mariadb-client' },
  { name: 'Prometheus', binary: 'prometheus', debianPackage: 'prometheus' },
  { name: 'promtool', binary: 'promtool', debianPackage: 'prometheus' },
  { name: 'Chromium', binary: 'chromium', debianPackage: 'chromium' },
  { name: 'wrk', binary: 'wrk', debianPackage: 'wrk' },
  { name: 'swaks', binary: 'swaks', debianPackage: 'swaks' },
  { name: 'curl', binary: 'curl', debianPackage: 'curl' },
  { name: 'OpenSSL', binary: 'openssl', debianPackage: 'openssl' },
  { name: 'sslscan', binary: 'sslscan', debianPackage: 'sslscan' },
  { name: 'systemd-notify', binary: 'systemd-notify', debianPackage: 'systemd' },
  { name: 'Perl', binary: 'perl', debianPackage: 'perl' },
  { name: 'Python', binary: 'python3', debianPackage: 'python3' },
  { name: 'bash', binary: 'bash', debianPackage: 'bash' },
  { name: 'zsh', binary: 'zsh', debianPackage: 'zsh' },
  { name: 'fish', binary: 'fish', debianPackage: 'fish' },
  { name: 'nftables', binary: 'nft', debianPackage: 'nftables' },
  { name: 'iproute2', binary: 'ip', debianPackage: 'iproute2' },
];

/** Debian keeps the PostgreSQL server and several daemons outside of a plain user's PATH. */
const FURTHER_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];
const POSTGRES_VERSIONS = '/usr/lib/postgresql';

/** The absolute path of a peer's binary, or null where this machine has none. A module is named by its path. */
export function findPeer(binary: string): string | null {
  if (binary.startsWith('/')) return existsSync(binary) ? binary : null;
  for (const folder of searchFolders()) {
    const path = join(folder, binary);
    if (isExecutable(path)) return path;
  }
  return null;
}

/** The peers that this machine lacks. */
export function missingPeers(): Peer[] {
  return PEERS.filter((peer) => findPeer(peer.binary) === null);
}

function searchFolders(): string[] {
  const fromPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...fromPath, ...FURTHER_FOLDERS, ...postgresFolders()];
}

/** Newest first. */
function postgresFolders(): string[] {
  try {
    const versions = readdirSync(POSTGRES_VERSIONS).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(POSTGRES_VERSIONS, version, 'bin'));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
