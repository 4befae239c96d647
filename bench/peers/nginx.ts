/** nginx: a master, one process a worker; TCP by its stream module. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, runToEnd } from '../launch.ts';
import { freePorts } from '../ports.ts';
import { type Peer, type ProxyPorts, type Setup, whenReady } from './peer.ts';

const READY_TIMEOUT_MS = 10_000;
/** Where Debian puts it; a build with the module inside needs no line. */
const STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so';

/** `log`: one line a request or connection to a file, as Bulkhead journals one record. */
export function nginx(log: boolean): Peer {
  return {
    name: log ? 'nginx+log' : 'nginx',
    tcp: true,
    logging: log ? 'access_log to a file, buffer 64k, flush 1s' : 'off',
    settings:
      'worker_processes 1, upstream keepalive 256, X-Forwarded-For, proxy_buffering on (default), stream proxy_buffer_size 16k (default)',
    version: async () => /nginx\/(\S+)/.exec(await runToEnd('all', 'sh', ['-c', 'nginx -v 2>&1'], 5_000))?.[1] ?? 'unknown',
    start: (setup) => start(log, setup),
  };
}

async function start(log: boolean, setup: Setup) {
  const [http, echo, bulk, https, h2] = (await freePorts(5)) as [number, number, number, number, number];
  const ports: ProxyPorts = { http, echo, bulk, https, h2 };
  const file = join(setup.folder, 'nginx.conf');
  await writeFile(file, configuration(log, setup, ports));
  const launched = await launch(setup.cores, 'nginx', ['-c', file, '-p', setup.folder, '-e', 'stderr']);
  return whenReady(log ? 'nginx+log' : 'nginx', launched, ports, [`http://127.0.0.1:${http}/`], READY_TIMEOUT_MS);
}

function configuration(log: boolean, setup: Setup, ports: ProxyPorts): string {
  const { backends, folder } = setup;
  const access = (kind: string) => (log ? `access_log ${folder}/${kind}.log flow buffer=64k flush=1s;` : 'access_log off;');
  const stream = (port: number, backend: number) => `server { listen 127.0.0.1:${port} backlog=4096; proxy_pass 127.0.0.1:${backend}; }`;
  return `${existsSync(STREAM_MODULE) ? `load_module ${STREAM_MODULE};` : ''}
daemon off;
worker_processes ${setup.workers};
worker_rlimit_nofile ${setup.flows * 2 + 64};
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections ${setup.flows * 2 + 64}; }
http {
${temporaryPaths(folder)}
  log_format flow '$time_iso8601 $remote_addr "$request" $status $bytes_sent $request_time $upstream_addr';
  ${access('http')}
  keepalive_timeout 10m;
  keepalive_requests 1000000000;
  upstream web { server 127.0.0.1:${backends.http}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 10m; }
  server {
    listen 127.0.0.1:${ports.https} ssl backlog=4096;
    ssl_certificate ${setup.certificate.certificate};
    ssl_certificate_key ${setup.certificate.key};
    ssl_protocols TLSv1.2 TLSv1.3;
    listen 127.0.0.1:${ports.http} backlog=4096;
    listen 127.0.0.1:${ports.h2} http2 backlog=4096;
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
stream {
  log_format flow '$time_iso8601 $remote_addr $status $bytes_sent $bytes_received $session_time $upstream_addr';
  ${access('stream')}
  proxy_timeout 10m;
  # As HAProxy and Bulkhead do it: an end of one side is passed on, and the other side may go on sending.
  proxy_half_close on;
  ${stream(ports.echo, backends.echo)}
  ${stream(ports.bulk, backends.bulk)}
}
`;
}

/** nginx writes its temporary files below one folder, so that nothing is left elsewhere. */
export function temporaryPaths(folder: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${folder}/${kind};`).join('\n');
}
