/** Memory for each idle TCP flow: what a fresh proxy grows by when it holds many flows that have each carried one message. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Arena, messageOf, startPeer } from '../arena.ts';
import type { Measure } from '../findings.ts';
import { type Launched, launch } from '../launch.ts';
import { readMemory } from '../measure.ts';
import type { RunningPeer } from '../peers/peer.ts';

/** A proxy has two descriptors a flow, and some for itself. */
const DESCRIPTORS_RESERVED = 100;
const SETTLE_STEP_MS = 700;
const SETTLE_STEPS_MAX = 8;
const SETTLED_SHARE = 0.005;
const HOLD_TIMEOUT_MS = 60_000;
/** Enough to have run the code and filled the pools once; more would leave a heap behind in which the flows then find room for nothing. */
const WARM_FLOWS = 64;

export async function memory(arena: Arena): Promise<void> {
  const { findings } = arena;
  const most = flowsPossible(readFileSync('/proc/self/limits', 'latin1'));
  const wanted = arena.quick ? [1_000] : [1_000, 10_000];
  const sizes = wanted.map((flows) => Math.min(flows, most));
  for (const [i, flows] of sizes.entries()) {
    if (flows < wanted[i]!) findings.note(`memory: ${flows} flows instead of ${wanted[i]}, as a process may have no more descriptors here`);
  }
  const measures = sizes.map((flows, i) => measureFor(wanted[i]!, flows));
  const refilled = refilledFor(sizes.at(-1)!, wanted.at(-1)!);
  for (const measure of [...measures, ...(arena.quick ? [] : [refilled])]) findings.declare(measure);
  // Starts are slow and memory is steadier than time: two rounds do.
  const rounds = Math.min(arena.rounds, arena.quick ? 1 : 2);
  for (let round = 0; round < rounds; round++) {
    for (const peer of arena.peers.filter((candidate) => candidate.tcp)) {
      for (const [i, flows] of sizes.entries()) {
        const measure = measures[i]!;
        if (findings.failures.some((failure) => failure.peer === peer.name && ['start', measure.key].includes(failure.measure))) continue;
        const running = await startPeer(arena, peer, { flows: Math.min(most, flows + 200) });
        if (running === null) continue;
        arena.progress(`${measure.title}: round ${round + 1} of ${rounds}: ${peer.name}`);
        try {
          const { before, perFlow } = await bytesPerFlow(running, flows);
          findings.add(measure.key, peer.name, { round, value: perFlow / 1000, rate: 0, load: 0 });
          if (round === 0 && flows === sizes.at(-1) && !arena.quick) {
            arena.progress(`${refilled.title}: ${peer.name}`);
            const again = await growthWhenRefilled(running, flows, before);
            findings.add(refilled.key, peer.name, { round, value: again / 1000, rate: 0, load: 0 });
          }
          // Room that the start left in the heap may be filled by flows at no growth, so the reader has to know how much there is.
          if (round === 0 && i === 0) findings.note(`memory: ${peer.name} has ${(before / 1e6).toFixed(1)} MB before the first flow`);
        } catch (error) {
          findings.fail(measure.key, peer.name, messageOf(error));
        } finally {
          await running.stop();
        }
      }
    }
  }
}

function measureFor(wanted: number, flows: number): Measure {
  return {
    key: `memory-${wanted}`,
    title: `memory per idle flow, ${flows} flows`,
    unit: 'kB/flow',
    rateUnit: null,
    how: 'growth of a fresh proxy (Pss_Anon and Pss_Shmem) once all flows have carried a message; no kernel memory',
    baseline: null,
  };
}

/** A collector that cleans up late shows its price only after flows have come and gone: the same flows once more, and once more. */
function refilledFor(flows: number, wanted: number): Measure {
  return {
    ...measureFor(wanted, flows),
    key: `memory-${wanted}-refilled`,
    title: `memory per idle flow, ${flows} flows for the third time`,
  };
}

async function growthWhenRefilled(peer: RunningPeer, flows: number, before: number): Promise<number> {
  await holding(peer, flows, async () => {});
  return holding(peer, flows, async () => ((await settled(peer.pid)) - before) / flows);
}

/** How many flows fit below the limit of open files, by /proc/PID/limits. */
export function flowsPossible(limits: string): number {
  const match = /^Max open files\s+(\d+)/m.exec(limits);
  return match === null ? Number.MAX_SAFE_INTEGER : Math.floor((Number(match[1]) - DESCRIPTORS_RESERVED) / 2);
}

async function bytesPerFlow(peer: RunningPeer, flows: number): Promise<{ before: number; perFlow: number }> {
  await holding(peer, WARM_FLOWS, async () => {});
  const before = await settled(peer.pid);
  const perFlow = await holding(peer, flows, async () => ((await settled(peer.pid)) - before) / flows);
  return { before, perFlow };
}

/** Does `work` while that many idle flows are open, and fails where one of them doesn't last. */
async function holding<T>(peer: RunningPeer, flows: number, work: () => Promise<T>): Promise<T> {
  const program = fileURLToPath(new URL('../load/hold.ts', import.meta.url));
  const holder = await launch('load', process.execPath, [program, String(peer.ports.echo), String(flows)]);
  try {
    await untilHeld(holder);
    const result = await work();
    const failed = holder.ended();
    if (failed !== null) throw new Error(`${failed}: ${holder.tail()}`);
    const ended = peer.ended();
    if (ended !== null) throw new Error(`the proxy ended: ${ended}`);
    return result;
  } finally {
    await holder.stop();
  }
}

async function untilHeld(holder: Launched): Promise<void> {
  const deadline = performance.now() + HOLD_TIMEOUT_MS;
  while (!holder.tail().includes('held')) {
    const ended = holder.ended();
    if (ended !== null) throw new Error(`${ended}: ${holder.tail()}`);
    if (performance.now() > deadline) throw new Error(`not all flows were open after ${HOLD_TIMEOUT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (holder.ended() !== null) throw new Error(holder.tail());
}

/** Memory once it has stopped moving, or after a bounded wait. */
async function settled(pid: number): Promise<number> {
  let last = readMemory(pid);
  for (let step = 0; step < SETTLE_STEPS_MAX; step++) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_STEP_MS));
    const now = readMemory(pid);
    if (Math.abs(now - last) <= last * SETTLED_SHARE) return now;
    last = now;
  }
  return last;
}
