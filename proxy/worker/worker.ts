/**
 * A worker thread: binds every VIP, carries its connections from accept to close, and does what the main thread says: swap the policy, drain, stop.
 */
import { getSystemErrorName } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { Upstreams } from '../http/upstreams.ts';
import type { FromWorker, Plan, ToWorker, WorkerStart } from '../node/plan.ts';
import type { FlowRecord } from '../observe/view.ts';
import { ServerTable } from '../shared/servers.ts';
import { checkNative } from '../wire/native.ts';
import { TICK_MS, Wheel } from '../wire/wheel.ts';
import { Acceptor } from './acceptor.ts';
import { ConnectionCaps } from './caps.ts';
import type { Context } from './context.ts';
import { JournalWriter } from './journal-writer.ts';
import { PolicyInForce } from './policy-in-force.ts';
import { SessionList } from './sessions.ts';
import { redecideAll } from './swap.ts';

const port = parentPort!;
const start = workerData as WorkerStart;
checkNative();

const clock = { now: () => performance.now(), coarse: performance.now(), epoch: performance.timeOrigin };
const wheel = new Wheel(clock.coarse);
const servers = new ServerTable(start.shared.workers, start.shared.servers);

const context: Context = {
  worker: start.worker,
  // Set by the first swap, before anything is accepted.
  policy: undefined as unknown as PolicyInForce,
  clock,
  wheel,
  sessions: new SessionList(),
  servers,
  caps: new ConnectionCaps(start.worker, start.shared),
  journal: new JournalWriter(start.ring, start.receiptPrefix, clock, () => send({ type: 'pressing' })),
  upstreams: new Upstreams(wheel),
  serverFlows: servers.flows,
  draining: false,
  random: Math.random,
};

const acceptors = new Map<string, Acceptor>();

function send(message: FromWorker): void {
  port.postMessage(message);
}

let troubled = 0;
/** Out of descriptors comes in thousands; one line a second is enough. */
function acceptTrouble(errno: number): void {
  if (clock.coarse - troubled < 1_000) return;
  troubled = clock.coarse;
  send({ type: 'trouble', message: 'a connection could not be accepted', detail: { error: getSystemErrorName(errno) } });
}

/** Every tick; a worker without sessions or idle connections turns an empty wheel, which costs nothing worth saving. */
setInterval(() => {
  clock.coarse = performance.now();
  wheel.turn(clock.coarse);
  if (context.draining && context.sessions.size === 0) announceIdle();
}, TICK_MS);

let announced = false;
function announceIdle(): void {
  if (announced) return;
  announced = true;
  send({ type: 'idle' });
}

async function swap(plan: Plan): Promise<void> {
  clock.coarse = performance.now();
  const before = context.policy as PolicyInForce | undefined;
  const policy = new PolicyInForce(plan, servers, context.random);
  const failures = listenOn(plan, before);
  context.policy = policy;
  context.upstreams.closeIdle(new Set(plan.pools.flatMap((pool) => pool.servers.map((server) => server.row))));
  const { cut, kept } = before === undefined ? { cut: 0, kept: 0 } : await redecideAll(context.sessions);
  send({ type: 'swapped', generation: plan.generation, cut, kept, failures });
}

/** Gives every VIP of the plan an acceptor: the one that it has, where it stays with its application, or a new one. */
function listenOn(plan: Plan, before: PolicyInForce | undefined): { endpoint: string; code: string }[] {
  const failures: { endpoint: string; code: string }[] = [];
  plan.vips.forEach((vip, index) => {
    // A unix socket can be bound once: the first worker has them all.
    if (vip.endpoint.kind === 'unix' && context.worker !== 0) return;
    const existing = acceptors.get(vip.endpoint.text);
    if (existing !== undefined) {
      const { place } = existing;
      const wasOf = place.application < 0 ? '' : before!.plan.applications[place.application]?.name;
      const isOf = plan.applications[vip.application]!;
      const modeWas = place.application < 0 ? '' : before!.plan.applications[place.application]?.mode;
      if (wasOf === isOf.name && modeWas === isOf.mode) {
        place.vip = index;
        place.application = vip.application;
        return;
      }
      // Another application has the VIP now: the flows that came by it for the first one end with it.
      existing.close();
      orphan(existing, plan, before);
    }
    const acceptor = new Acceptor(context, vip.endpoint, index, vip.application, acceptTrouble);
    const code = acceptor.open();
    if (code !== null) failures.push({ endpoint: vip.endpoint.text, code });
    else acceptors.set(vip.endpoint.text, acceptor);
  });
  const wanted = new Set(plan.vips.map((vip) => vip.endpoint.text));
  for (const [text, acceptor] of acceptors) {
    if (wanted.has(text)) continue;
    acceptor.close();
    acceptors.delete(text);
    orphan(acceptor, plan, before);
  }
  return failures;
}

/** The VIP is gone from under its flows; their application, where it still exists, closes their accounts. */
function orphan(acceptor: Acceptor, plan: Plan, before: PolicyInForce | undefined): void {
  const { place } = acceptor;
  const name = before?.plan.applications[place.application]?.name;
  place.vip = -1;
  place.application = plan.applications.findIndex((application) => application.name === name);
}

function flows(limit: number, receipt: string | null): FlowRecord[] {
  const found: FlowRecord[] = [];
  const walk = context.sessions.walk();
  for (let session = walk.step(); session !== null; session = walk.step()) {
    session.describe(found);
    if (receipt !== null) {
      const match = found.find((flow) => flow.receipt === receipt);
      found.length = 0;
      if (match !== undefined) {
        walk.stop();
        return [match];
      }
    } else if (found.length >= limit) {
      walk.stop();
      break;
    }
  }
  return found.slice(0, limit);
}

function drain(): void {
  context.draining = true;
  for (const acceptor of acceptors.values()) acceptor.close();
  context.upstreams.closeIdle(null);
  const walk = context.sessions.walk();
  for (let session = walk.step(); session !== null; session = walk.step()) session.drain();
  if (context.sessions.size === 0) announceIdle();
}

function stop(): void {
  for (const acceptor of acceptors.values()) acceptor.close();
  const walk = context.sessions.walk();
  for (let session = walk.step(); session !== null; session = walk.step()) session.abort('node stopped');
  port.close();
  // One turn of the loop, so that resets leave before the thread does.
  setImmediate(() => process.exit(0));
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'swap':
      void swap(message.plan);
      break;
    case 'drain':
      drain();
      break;
    case 'stop':
      stop();
      break;
    case 'flows':
      send({ type: 'flows', id: message.id, flows: flows(message.limit, message.receipt) });
      break;
    default:
      message satisfies never;
  }
});
