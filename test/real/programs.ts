/** Starts real programs for a test, each on a free port of loopback and in a folder of its own, and ends them by their id. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { freePort, until } from '../node/harness.ts';
import { findPeer } from '../peers.ts';

const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';

export interface Program {
  readonly port: number;
  readonly folder: string;
  stop(): Promise<void>;
}

/** Under CI a missing peer fails; elsewhere the test is skipped, and its name says why. */
export function lacks(...binaries: string[]): boolean {
  const missing = binaries.filter((binary) => findPeer(binary) === null);
  if (missing.length > 0 && process.env.CI === 'true')
    throw new Error(`missing peers: ${missing.join(', ')}; npm test as root installs them`);
  return missing.length > 0;
}

export function peer(binary: string): string {
  const path = findPeer(binary);
  if (path === null) throw new Error(`${binary} is not on this machine`);
  return path;
}

export function workFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `bulkhead-${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}

async function launch(
  folder: string,
  port: number,
  command: string,
  args: string[],
  options: { uid?: number; gid?: number } = {},
): Promise<Program> {
  const child: ChildProcess = spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let output = '';
  child.stdout?.on('data', (part) => (output += part));
  child.stderr?.on('data', (part) => (output += part));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${command} ended at once:\n${output}`);
      return answers(port);
    }, 15_000);
  } catch (error) {
    child.kill('SIGKILL');
    throw new Error(`${command} does not listen on ${port}:\n${output}`, { cause: error });
  }
  return {
    port,
    folder,
    stop: async () => {
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(hard);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** `stream` is what goes into a stream block; its module is a file of its own in Debian. */
export async function startNginx(server: (port: number) => string, stream: string | null = null): Promise<Program> {
  const folder = workFolder('nginx');
  const port = await freePort();
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${stream === null ? '' : `load_module ${NGINX_STREAM};`} daemon off; user root; worker_processes 1; pid ${folder}/pid; error_log stderr warn;
events { worker_connections 512; }
http { access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s; client_max_body_size 100m;
${server(port)} }
${stream === null ? '' : `stream { ${stream} }`}`,
  );
  return launch(folder, port, peer('nginx'), ['-c', join(folder, 'nginx.conf')]);
}

/** `sections` follow the defaults: frontends, backends, listens. */
export async function startHaproxy(sections: (port: number) => string): Promise<Program> {
  const folder = workFolder('haproxy');
  const port = await freePort();
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `global
  maxconn 200
  nbthread 1
defaults
  timeout connect 5s
  timeout client 5s
  timeout server 5s
${sections(port)}
`,
  );
  return launch(folder, port, peer('haproxy'), ['-f', join(folder, 'haproxy.cfg'), '-db']);
}

export async function startRedis(): Promise<Program> {
  const folder = workFolder('redis');
  const port = await freePort();
  return launch(folder, port, peer('redis-server'), [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ]);
}

/** PostgreSQL refuses to run as root, so it runs as the user that its package brings. */
export async function startPostgres(): Promise<Program> {
  const folder = workFolder('postgres');
  const port = await freePort();
  const postgres = peer('postgres');
  const identity = postgresIdentity();
  if (identity !== null) execFileSync('chown', [`${identity.uid}:${identity.gid}`, folder]);
  const data = join(folder, 'data');
  const options = { cwd: folder, stdio: 'pipe' as const, ...(identity ?? {}) };
  execFileSync(join(dirname(postgres), 'initdb'), ['-D', data, '-A', 'trust', '-U', 'postgres', '--no-sync'], options);
  return launch(
    folder,
    port,
    postgres,
    ['-D', data, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${folder}`, '-c', 'fsync=off'],
    identity ?? {},
  );
}

/** `setUp`: statements, one a line, run by root before anybody is let in. */
export async function startMariadb(setUp: string): Promise<Program> {
  const folder = workFolder('mariadb');
  const port = await freePort();
  const data = join(folder, 'data');
  const server = peer('mariadbd');
  const common = [
    '--no-defaults',
    `--datadir=${data}`,
    `--lc-messages-dir=/usr/share/mysql`,
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ];
  execFileSync(peer('mariadb-install-db'), [...common, '--auth-root-authentication-method=normal', '--skip-test-db'], { stdio: 'pipe' });
  const init = join(folder, 'init.sql');
  writeFileSync(init, setUp);
  const paths = [`--socket=${folder}/socket`, `--pid-file=${folder}/pid`, `--init-file=${init}`];
  const sizes = ['--innodb-buffer-pool-size=16M', '--innodb-log-file-size=8M', '--skip-log-bin', '--innodb-flush-log-at-trx-commit=0'];
  return launch(folder, port, server, [...common, ...paths, ...sizes, '--bind-address=127.0.0.1', '--skip-name-resolve', `--port=${port}`]);
}

function postgresIdentity(): { uid: number; gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

export async function startPrometheus(target: string): Promise<Program> {
  const folder = workFolder('prometheus');
  const port = await freePort();
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `global: { scrape_interval: 1s }\nscrape_configs:\n  - job_name: bulkhead\n    static_configs: [{ targets: ['${target}'] }]\n`,
  );
  return launch(folder, port, peer('prometheus'), [
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
}
