/**
 * What a change costs that cuts some of many live flows: from the order to the last cut, and what the others notice of it.
 * Usage: node bench/revoke.ts [FLOWS [GO [WORKERS]]] [--json]. Proxy, load and servers are processes of their own, each with its own descriptors.
 * Those that go have load and server apart from those that stay, and run only while nothing else wants their core: a peer that mourns a thousand
 * connections would else hold up those that it is measured beside. Those that stay come before all else on it, where the system lets them (root). What
 * the machine adds all the same shows in the round trips to the server itself: where these moved as well, the run is called disturbed.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePorts } from './ports.ts';

/** Two descriptors a flow in the proxy, and some more. */
const DESCRIPTORS_EXTRA = 500;
const MESSAGES_PER_SECOND = 2_000;
const PROXY_CORE = 0;
const PEERS_CORE = 1;
/** Round trips of this long before the order are the baseline. */
const BASELINE_MS = 3_000;
/** Before that, the load cleans up behind the opening of its connections, and its code becomes warm. */
const SETTLE_MS = 3_000;
/** After the order, the others may notice something for so long. */
const WINDOW_MS = 500;
const HELD_MS_MAX = 120_000;
/** Where round trips past the proxy have moved more than this, what the others noticed was not the proxy alone. */
const DISTURBED_MS = 1;
const [flows, go, workers] = process.argv.slice(2).filter((word) => !word.startsWith('--')) as (string | undefined)[];
const FLOWS = Number(flows ?? 10_000);
const GO = Number(go ?? FLOWS / 10);
const WORKERS = Number(workers ?? 1);

type Trips = readonly (readonly [at: number, milliseconds: number])[];

interface Reported {
  readonly trips: Trips;
  /** To the server, past the proxy. */
  readonly directTrips: Trips;
  readonly ends: readonly number[];
}

const children: ChildProcess[] = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** When a thread runs, see sched(7): only while nothing else wants the core, like others, or before all others. */
const SCHEDULING = { idle: 'chrt -i 0', plain: null, first: 'chrt -r 1' } as const;
type Scheduling = keyof typeof SCHEDULING;

/** On a core, with the descriptors that it takes. */
function run(core: number, scheduling: Scheduling, program: string, ...words: readonly (string | number)[]): ChildProcess {
  const wrap = [SCHEDULING[scheduling], `taskset -c ${core}`]
    .map((tool) => (tool === null ? '' : `${tool} true 2>/dev/null && set -- ${tool} "$@";`))
    .join(' ');
  const command = `ulimit -n ${FLOWS * 2 + DESCRIPTORS_EXTRA} 2>/dev/null; ${wrap} exec "$@"`;
  const child = spawn('sh', ['-c', command, 'sh', program, ...words.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

function runPeer(scheduling: Scheduling, path: string, ...words: readonly (string | number)[]): ChildProcess {
  return run(PEERS_CORE, scheduling, process.execPath, pathOf(path), ...words);
}

/** Milliseconds that the threads which carry traffic could have run, but others had the core (proc(5), schedstat); NaN where the system does not say. */
function waitedMs(pid: number): number {
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}`);
    const workers = threads.filter((thread) => readFileSync(`${thread}/comm`, 'utf8').startsWith('worker-'));
    return workers.reduce((sum, thread) => sum + Number(readFileSync(`${thread}/schedstat`, 'utf8').split(' ')[1]) / 1e6, 0);
  } catch {
    return Number.NaN;
  }
}

function pathOf(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function policy(ports: readonly number[], hash: string, action: string): string {
  const [stay, go, stayServer, goServer, admin] = ports;
  return `version: 1
process: { workers: ${WORKERS}, admin: { listen: 127.0.0.1:${admin}, tokens: [{ name: bench, role: admin, hash: "${hash}" }] }, state: off }
pools:
  stay: { servers: [127.0.0.1:${stayServer}] }
  go: { servers: [127.0.0.1:${goServer}] }
applications:
  stay: { vips: [127.0.0.1:${stay}], mode: tcp, pool: stay, rules: [{ name: all, action: allow }] }
  go: { vips: [127.0.0.1:${go}], mode: tcp, pool: go, rules: [{ name: all, action: ${action} }] }
`;
}

function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-revoke-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const ports = await freePorts(5);
const [stayVip, goVip, stayServer, goServer, admin] = ports as [number, number, number, number, number];
const secret = randomBytes(16).toString('hex');
const hash = `sha256:${createHash('sha256').update(secret).digest('hex')}`;
const file = join(folder, 'bulkhead.yaml');
writeFileSync(file, policy(ports, hash, 'allow'));
// What gives the orders is a peer as well; without taskset it goes where it likes.
spawnSync('taskset', ['-acp', String(PEERS_CORE), String(process.pid)], { stdio: 'ignore' });
runPeer('first', './load/echo.ts', stayServer);
runPeer('idle', './load/echo.ts', goServer);
// As its users start it.
const proxy = run(PROXY_CORE, 'plain', 'sh', pathOf('../proxy/runtime/bulkhead.sh'), 'run', file);
proxy.stdout!.resume();
const url = `http://127.0.0.1:${admin}`;
for (let tries = 0; ; tries++) {
  const ready = await fetch(`${url}/readyz`).then(
    (answer) => answer.ok,
    () => false,
  );
  if (ready) break;
  if (tries > 200) throw new Error('the proxy is not ready');
  await new Promise((resolve) => setTimeout(resolve, 50));
}

const loads = [
  runPeer('first', './load/revoked.ts', stayVip, FLOWS - GO, MESSAGES_PER_SECOND, stayServer),
  runPeer('idle', './load/revoked.ts', goVip, GO, 0),
];
const lines = loads.map((load) => createInterface({ input: load.stdout! })[Symbol.asyncIterator]());
const given = setTimeout(() => loads.forEach((load) => void load.kill('SIGKILL')), HELD_MS_MAX);
for (const each of lines) if ((await each.next()).value !== 'held') throw new Error('not all connections could be held');
clearTimeout(given);
await new Promise((resolve) => setTimeout(resolve, SETTLE_MS + BASELINE_MS));
const body = policy(ports, hash, 'deny');
const waitedBefore = waitedMs(proxy.pid!);
const orderedAt = performance.timeOrigin + performance.now();
const answer = await fetch(`${url}/api/v1/policy`, {
  method: 'PUT',
  body,
  headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/yaml' },
});
const answeredAt = performance.timeOrigin + performance.now();
const waitedDuring = waitedMs(proxy.pid!) - waitedBefore;
const applied = (await answer.json()) as { revoked: number; kept: number; milliseconds: number; error?: string };
if (!answer.ok) throw new Error(applied.error ?? String(answer.status));
const { ends } = JSON.parse((await lines[1]!.next()).value as string) as Reported;
await new Promise((resolve) => setTimeout(resolve, 2 * WINDOW_MS));
loads[0]!.kill('SIGTERM');
const { trips, directTrips } = JSON.parse((await lines[0]!.next()).value as string) as Reported;
const lastCutAt = Math.max(...ends);
const of = (sample: Trips, from: number, to: number) => sample.filter(([at]) => at >= from && at < to).map(([, took]) => took);
const before = (sample: Trips) => of(sample, orderedAt - BASELINE_MS, orderedAt);
const during = (sample: Trips) => of(sample, orderedAt - 50, orderedAt + WINDOW_MS);
const cutting = (sample: Trips) => of(sample, orderedAt, lastCutAt);
const round = (value: number) => Math.round(value * 100) / 100;
const p99 = (samples: readonly number[]) => round(percentile(samples, 0.99));
const result = {
  flows: FLOWS,
  workers: WORKERS,
  revoked: applied.revoked,
  kept: applied.kept,
  answer_says_ms: applied.milliseconds,
  last_cut_ms: round(lastCutAt - orderedAt),
  answered_ms: round(answeredAt - orderedAt),
  p99_before_ms: p99(before(trips)),
  p99_during_ms: p99(during(trips)),
  p99_moves_ms: round(p99(during(trips)) - p99(before(trips))),
  // From the order to the last cut alone: few samples, and the strictest reading.
  p99_while_cutting_ms: p99(cutting(trips)),
  worst_during_ms: round(Math.max(...during(trips))),
  direct_p99_before_ms: p99(before(directTrips)),
  direct_p99_during_ms: p99(during(directTrips)),
  direct_p99_while_cutting_ms: p99(cutting(directTrips)),
  disturbed: p99(during(directTrips)) - p99(before(directTrips)) > DISTURBED_MS,
  // From the order to its answer: what the threads beside them cost the workers, those of V8 that compile most of all.
  workers_waited_ms: round(waitedDuring),
  samples: [before(trips).length, during(trips).length, cutting(trips).length],
};
console.log(process.argv.includes('--json') ? JSON.stringify(result) : result);
process.exit(0);
