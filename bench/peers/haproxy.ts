/** HAProxy: one process, one thread a worker. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, runToEnd } from '../launch.ts';
import { freePorts } from '../ports.ts';
import { type Peer, type ProxyPorts, type Setup, whenReady } from './peer.ts';

const READY_TIMEOUT_MS = 10_000;

/**
 * `log`: one line a request or connection to a file, as Bulkhead journals one record. `splice`: bytes of TCP go from socket to socket
 * through a pipe in the kernel where HAProxy finds that worth it.
 */
export type HaproxyVariant = 'plain' | 'log' | 'splice';

export function haproxy(variant: HaproxyVariant): Peer {
  const name = variant === 'plain' ? 'haproxy' : `haproxy+${variant}`;
  return {
    name,
    tcp: true,
    logging: variant === 'log' ? 'httplog and tcplog to a file' : 'off',
    settings: `nbthread 1, http-reuse always, forwardfor, tune.bufsize 16384 (default), splice ${variant === 'splice' ? 'auto' : 'off (default)'}`,
    version: async () => /version ([^\s]+)/.exec(await runToEnd('all', 'haproxy', ['-v'], 5_000))?.[1] ?? 'unknown',
    start: (setup) => start(name, variant, setup),
  };
}

async function start(name: string, variant: HaproxyVariant, setup: Setup) {
  const [http, echo, bulk, https, h2] = (await freePorts(5)) as [number, number, number, number, number];
  const ports: ProxyPorts = { http, echo, bulk, https, h2 };
  const file = join(setup.folder, 'haproxy.cfg');
  await writeFile(file, configuration(variant, setup, ports));
  // A shell only to send the log to a file; exec keeps one process.
  const args = ['-c', `exec haproxy -db -f "$0" > "$1"`, file, variant === 'log' ? join(setup.folder, 'haproxy.log') : '/dev/null'];
  const launched = await launch(setup.cores, 'sh', args);
  return whenReady(name, launched, ports, [`http://127.0.0.1:${http}/`], READY_TIMEOUT_MS);
}

function configuration(variant: HaproxyVariant, setup: Setup, ports: ProxyPorts): string {
  const log = variant === 'log';
  const bind = (port: number) => `bind 127.0.0.1:${port} backlog 4096`;
  return `global
  nbthread ${setup.workers}
  maxconn ${setup.flows}
${log ? '  log stdout format raw local0' : ''}
${variant === 'splice' ? '  maxpipes 20' : ''}
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  timeout connect 5s
  timeout client 10m
  timeout server 10m
  timeout http-keep-alive 10m
${log ? '  log global' : ''}
frontend web
  ${bind(ports.http)}
  ${bind(ports.h2)} proto h2
  ${bind(ports.https)} ssl crt ${setup.certificate.both} alpn http/1.1
  mode http
${log ? '  option httplog' : ''}
  option forwardfor
  default_backend web
backend web
  mode http
  http-reuse always
  server web1 127.0.0.1:${setup.backends.http}
${tcp('echo', ports.echo, setup.backends.echo)}
${tcp('bulk', ports.bulk, setup.backends.bulk)}
`;

  function tcp(name: string, port: number, backend: number): string {
    return `listen ${name}
  ${bind(port)}
  mode tcp
${log ? '  option tcplog' : ''}
${variant === 'splice' ? '  option splice-auto' : ''}
  server ${name}1 127.0.0.1:${backend}`;
  }
}
