/** Rivals that are small Node programs of ours in bench/rivals: http-proxy, and node:http with undici. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { launch } from '../launch.ts';
import { freePorts } from '../ports.ts';
import { type Peer, type ProxyPorts, type Setup, whenReady } from './peer.ts';

const READY_TIMEOUT_MS = 10_000;

export const httpProxy: Peer = {
  name: 'http-proxy',
  tcp: false,
  logging: 'none',
  settings: 'http.Agent with keepAlive, xfwd; carries no TCP',
  version: () => packageVersion('http-proxy'),
  start: (setup) => start('http-proxy', 'http-proxy.ts', false, setup),
};

export const plainNode: Peer = {
  name: 'node',
  tcp: true,
  logging: 'none',
  settings: 'node:http in front, undici Pool (256 connections) behind, X-Forwarded-For; TCP by net and pipe()',
  version: async () => `${process.versions.node} with undici ${await packageVersion('undici')}`,
  start: (setup) => start('node', 'plain-node.ts', true, setup),
};

async function start(name: string, program: string, tcp: boolean, setup: Setup) {
  const [http, echo, bulk] = (await freePorts(3)) as [number, number, number];
  const ports: ProxyPorts = tcp ? { http, echo, bulk, https: 0, h2: 0 } : { http, echo: 0, bulk: 0, https: 0, h2: 0 };
  const path = fileURLToPath(new URL(`../rivals/${program}`, import.meta.url));
  const { backends } = setup;
  const pairs = [`${http}:${backends.http}`, `${echo}:${backends.echo}`, `${bulk}:${backends.bulk}`];
  const launched = await launch(setup.cores, process.execPath, [path, ...pairs]);
  return whenReady(name, launched, ports, [`http://127.0.0.1:${http}/`], READY_TIMEOUT_MS);
}

/** Read from the file rather than imported: not every package exports its package.json. */
async function packageVersion(name: string): Promise<string> {
  const path = fileURLToPath(new URL(`../../node_modules/${name}/package.json`, import.meta.url));
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  return version;
}
