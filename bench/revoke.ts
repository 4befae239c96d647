/**
 * What a change costs that cuts some of many live flows: from the order to the last cut, and what the others notice of it.
 * Usage: node bench/revoke.ts [FLOWS [GO [WORKERS]]] [--json]. Proxy, load and servers are processes of their own, each with its own descriptors;
 * and those that go have load and server apart from those that stay, so that what is measured is the proxy, not a peer that mourns.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePorts } from './ports.ts';

/** Two descriptors a flow in the proxy, and some more. */
const DESCRIPTORS_EXTRA = 500;
const MESSAGES_PER_SECOND = 2_000;
/** Round trips of this long before the order are the baseline. */
const BASELINE_MS = 3_000;
/** After the order, the others may notice something for so long. */
const WINDOW_MS = 500;
const HELD_MS_MAX = 120_000;
const [flows, go, workers] = process.argv.slice(2).filter((word) => !word.startsWith('--')) as (string | undefined)[];
const FLOWS = Number(flows ?? 10_000);
const GO = Number(go ?? FLOWS / 10);
const WORKERS = Number(workers ?? 1);

interface Reported {
  readonly trips: readonly (readonly [at: number, milliseconds: number])[];
  readonly ends: readonly number[];
}

const children: ChildProcess[] = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

function run(path: string, ...words: readonly (string | number)[]): ChildProcess {
  const script = fileURLToPath(new URL(path, import.meta.url));
  // The proxy has a core for itself, as in the other benchmarks: what the others notice is its doing, not a peer's that mourns.
  const core = path.includes('main.ts') ? 0 : 1;
  const pinned = `command -v taskset >/dev/null && exec taskset -c ${core} "$@"; exec "$@"`;
  const limit = `ulimit -n ${FLOWS * 2 + DESCRIPTORS_EXTRA} 2>/dev/null; ${pinned}`;
  const child = spawn('sh', ['-c', limit, 'sh', process.execPath, script, ...words.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
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
run('./load/echo.ts', stayServer);
run('./load/echo.ts', goServer);
run('../proxy/main.ts', 'run', file).stdout!.resume();
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

const loads = [run('./load/revoked.ts', stayVip, FLOWS - GO, MESSAGES_PER_SECOND), run('./load/revoked.ts', goVip, GO, 0)];
const lines = loads.map((load) => createInterface({ input: load.stdout! })[Symbol.asyncIterator]());
const given = setTimeout(() => loads.forEach((load) => void load.kill('SIGKILL')), HELD_MS_MAX);
for (const each of lines) if ((await each.next()).value !== 'held') throw new Error('not all connections could be held');
clearTimeout(given);
await new Promise((resolve) => setTimeout(resolve, BASELINE_MS));
const body = policy(ports, hash, 'deny');
const orderedAt = performance.timeOrigin + performance.now();
const answer = await fetch(`${url}/api/v1/policy`, {
  method: 'PUT',
  body,
  headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/yaml' },
});
const answeredAt = performance.timeOrigin + performance.now();
const applied = (await answer.json()) as { revoked: number; kept: number; milliseconds: number; error?: string };
if (!answer.ok) throw new Error(applied.error ?? String(answer.status));
const { ends } = JSON.parse((await lines[1]!.next()).value as string) as Reported;
await new Promise((resolve) => setTimeout(resolve, 2 * WINDOW_MS));
loads[0]!.kill('SIGTERM');
const { trips } = JSON.parse((await lines[0]!.next()).value as string) as Reported;
const between = (from: number, to: number) => trips.filter(([at]) => at >= from && at < to).map(([, milliseconds]) => milliseconds);
// The first second after the connections were opened still cleans up behind them.
const before = between(orderedAt - BASELINE_MS + 1_000, orderedAt);
const during = between(orderedAt - 50, orderedAt + WINDOW_MS);
const round = (value: number) => Math.round(value * 100) / 100;
const result = {
  flows: FLOWS,
  workers: WORKERS,
  revoked: applied.revoked,
  kept: applied.kept,
  answer_says_ms: applied.milliseconds,
  last_cut_ms: round(Math.max(...ends) - orderedAt),
  answered_ms: round(answeredAt - orderedAt),
  p99_before_ms: round(percentile(before, 0.99)),
  p99_during_ms: round(percentile(during, 0.99)),
  worst_before_ms: round(Math.max(...before)),
  worst_during_ms: round(Math.max(...during)),
  samples: [before.length, during.length],
};
console.log(process.argv.includes('--json') ? JSON.stringify(result) : result);
process.exit(0);
