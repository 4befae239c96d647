/** `npm run bench`: Bulkhead, HAProxy, nginx, http-proxy and plain Node side by side. `--help` says how. */
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Arena, messageOf, startPeer } from './arena.ts';
import { startBackends } from './backends.ts';
import { makeCertificate } from './certificate.ts';
import { Findings } from './findings.ts';
import { CORES_APART, runToEnd, stopAll } from './launch.ts';
import { describeCommit, describeMachine, othersShare, readBusyness } from './machine.ts';
import { HELP, type Options, type PeerName, readOptions, type WorkName } from './options.ts';
import { bulkhead } from './peers/bulkhead.ts';
import { haproxy } from './peers/haproxy.ts';
import { nginx } from './peers/nginx.ts';
import { httpProxy, plainNode } from './peers/node.ts';
import type { Peer, RunningPeer } from './peers/peer.ts';
import { plot } from './plot.ts';
import { type Circumstances, formatReport, makeReport } from './report.ts';
import { provideTools } from './tools.ts';
import { h2 } from './work/h2.ts';
import { http } from './work/http.ts';
import { identity } from './work/identity.ts';
import { latency } from './work/latency.ts';
import { memory } from './work/memory.ts';
import { rules } from './work/rules.ts';
import { bulk, connect, pingpong } from './work/tcp.ts';
import { tls } from './work/tls.ts';
import { workers } from './work/workers.ts';

const PEER: Record<PeerName, Peer> = {
  bulkhead,
  haproxy: haproxy('plain'),
  nginx: nginx(false),
  'http-proxy': httpProxy,
  node: plainNode,
  'haproxy+log': haproxy('log'),
  'haproxy+splice': haproxy('splice'),
  'nginx+log': nginx(true),
};

/** Works on peers that run side by side for the whole time; the others start peers of their own. */
const SIDE_BY_SIDE: { readonly [name in WorkName]?: (arena: Arena, peers: readonly RunningPeer[]) => Promise<void> } = {
  http,
  bulk,
  pingpong,
  connect,
  latency,
  tls,
  h2,
};

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === null) {
    process.stdout.write(HELP);
    return 0;
  }
  if (typeof options === 'string') {
    console.error(`bench: ${options}; --help shows what can be said`);
    return 2;
  }
  if (process.platform !== 'linux') {
    console.error('bench: needs Linux, as it reads the cost of a process from /proc');
    return 2;
  }
  // An end by signal takes the children and the folder along.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stopAll().finally(() => process.exit(130)));
  const folder = await mkdtemp(join(tmpdir(), 'bulkhead-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  const started = new Date();
  const findings = new Findings();
  const problems = await provideTools(toolsFor(options), progress);
  for (const problem of problems) console.error(`bench: ${problem}`);
  if (problems.length > 0) return 1;
  const busyBefore = readBusyness();
  const circumstances = await describe(options, started, findings);
  await measureAll(options, findings, folder);
  progress('');
  const others = othersShare(busyBefore, readBusyness(), circumstances.machine.cores);
  const durationSeconds = (Date.now() - started.getTime()) / 1000;
  const report = makeReport({ ...circumstances, durationSeconds, othersShare: others }, findings);
  process.stdout.write(formatReport(report));
  if (options.json !== null) await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.plot !== null) await writeFile(options.plot, plot(report));
  return findings.failures.length === 0 ? 0 : 1;
}

async function measureAll(options: Options, findings: Findings, folder: string): Promise<void> {
  const backends = await startBackends(folder);
  const peers = options.peers.map((name) => PEER[name]);
  const arena: Arena = {
    ...options,
    findings,
    folder,
    backends: backends.ports,
    certificate: await makeCertificate(folder),
    peers,
    progress,
  };
  const running: RunningPeer[] = [];
  try {
    const sideBySide = options.works.filter((work) => SIDE_BY_SIDE[work] !== undefined);
    if (sideBySide.length > 0) for (const peer of peers) running.push(...listOf(await startPeer(arena, peer)));
    for (const work of sideBySide) await SIDE_BY_SIDE[work]!(arena, running);
    for (const peer of running.splice(0)) await peer.stop();
    if (options.works.includes('memory')) await memory(arena);
    if (options.works.includes('workers')) await workers(arena);
    if (options.works.includes('rules') && options.peers.includes('bulkhead')) await rules(arena);
    if (options.works.includes('identity') && options.peers.includes('bulkhead')) await identity(arena);
  } finally {
    for (const peer of running) await peer.stop();
    await backends.stop();
  }
}

const listOf = <T>(value: T | null): T[] => (value === null ? [] : [value]);

function toolsFor({ peers, works }: Options): string[] {
  // nginx is the backend for HTTP in any case.
  const tools = ['nginx', ...(CORES_APART ? ['taskset'] : [])];
  if (peers.some((peer) => peer.startsWith('haproxy'))) tools.push('haproxy');
  if (works.some((work) => ['http', 'latency', 'rules', 'identity', 'workers', 'tls'].includes(work))) tools.push('wrk');
  if (works.includes('h2')) tools.push('h2load');
  return tools;
}

async function describe(options: Options, started: Date, findings: Findings): Promise<Circumstances> {
  const versions: string[] = [];
  for (const name of options.peers) {
    try {
      versions.push(await PEER[name].version());
    } catch (error) {
      versions.push('unknown');
      findings.fail('version', name, messageOf(error));
    }
  }
  return {
    startedAt: started.toISOString(),
    durationSeconds: 0,
    command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
    machine: describeMachine(),
    commit: describeCommit(),
    rounds: options.rounds,
    seconds: options.seconds,
    coresApart: CORES_APART,
    othersShare: 0,
    peers: options.peers.map((name, i) => ({ name, version: versions[i]!, logging: PEER[name].logging, settings: PEER[name].settings })),
    tools: [
      `backend for HTTP: nginx ${(await PEER.nginx.version().catch(() => 'unknown')) || 'unknown'}, return 200`,
      `wrk ${(await runToEnd('all', 'sh', ['-c', 'wrk -v 2>&1 || true'], 5_000).catch(() => '')).match(/wrk (\S+)/)?.[1] ?? 'absent'}`,
      'backends and loads for TCP: bench/load',
    ],
  };
}

/** One line on standard error: written over on a terminal, one after the other elsewhere. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  else if (text !== '') process.stderr.write(`${text}\n`);
}

process.exitCode = await main();
