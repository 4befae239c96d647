/**
 * A worker thread: binds every VIP, carries its connections from accept to close, and does what the main thread says: swap the policy, drain, stop.
 */
import { getSystemErrorName } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { Upstreams } from '../http/upstreams.ts';
import type { FromWorker, Plan, PlannedApplication, ToWorker, WorkerStart } from '../node/plan.ts';
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

const clock = { now: performance.now.bind(performance), coarse: performance.now(), epoch: performance.timeOrigin };
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
  context.journal.publish();
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
  const { opened, failures } = openVips(plan, before);
  if (failures.length > 0 && before !== undefined) {
    // Whole or not at all: nothing has changed yet, and the main thread takes the plan back everywhere.
    for (const acceptor of opened.values()) acceptor.close();
    send({ type: 'swapped', generation: plan.generation, cut: 0, kept: context.sessions.size, failures });
    return;
  }
  const policy = new PolicyInForce(plan, servers, context.random);
  settleVips(plan, before, opened, failures);
  context.policy = policy;
  context.upstreams.closeIdle(new Set(plan.pools.flatMap((pool) => pool.servers.map((server) => server.row))));
  const { cut, kept } = before === undefined ? { cut: 0, kept: 0 } : await redecideAll(context.sessions);
  send({ type: 'swapped', generation: plan.generation, cut, kept, failures });
}

type Failures = { endpoint: string; code: string }[];

/** Whether the VIP stays with the acceptor that it has: another application, or another mode, begins with an acceptor of its own. */
function staysWith(existing: Acceptor, application: PlannedApplication, before: PolicyInForce | undefined): boolean {
  const was = before?.plan.applications[existing.place.application];
  return was !== undefined && was.name === application.name && was.mode === application.mode;
}

/** Opens what is new, beside what there is. A unix socket that changes hands can be bound only once the old one is closed. */
function openVips(plan: Plan, before: PolicyInForce | undefined): { opened: Map<string, Acceptor>; failures: Failures } {
  const opened = new Map<string, Acceptor>();
  const failures: Failures = [];
  plan.vips.forEach(({ endpoint, application }, index) => {
    // A unix socket can be bound once: the first worker has them all.
    if (endpoint.kind === 'unix' && context.worker !== 0) return;
    const existing = acceptors.get(endpoint.text);
    if (existing !== undefined && (endpoint.kind === 'unix' || staysWith(existing, plan.applications[application]!, before))) return;
    const acceptor = new Acceptor(context, endpoint, index, application, acceptTrouble);
    const code = acceptor.open();
    if (code === null) opened.set(endpoint.text, acceptor);
    else failures.push({ endpoint: endpoint.text, code });
  });
  return { opened, failures };
}

/** Gives every VIP of the plan its acceptor, and closes the others. */
function settleVips(plan: Plan, before: PolicyInForce | undefined, opened: Map<string, Acceptor>, failures: Failures): void {
  const wanted = new Map(plan.vips.map((vip, index) => [vip.endpoint.text, { ...vip, index }]));
  for (const [text, existing] of acceptors) {
    const vip = wanted.get(text);
    if (vip !== undefined && staysWith(existing, plan.applications[vip.application]!, before)) {
      existing.place.vip = vip.index;
      existing.place.application = vip.application;
      continue;
    }
    // The flows that came by it end with it, also where another application has the VIP now.
    existing.close();
    acceptors.delete(text);
    orphan(existing, plan, before);
    if (vip === undefined || opened.has(text)) continue;
    const acceptor = new Acceptor(context, vip.endpoint, vip.index, vip.application, acceptTrouble);
    const code = acceptor.open();
    if (code === null) opened.set(text, acceptor);
    else failures.push({ endpoint: text, code });
  }
  for (const [text, acceptor] of opened) acceptors.set(text, acceptor);
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
  context.journal.publish();
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
      // Who asks for flows may ask for those that have just ended as well.
      context.journal.publish();
      send({ type: 'flows', id: message.id, flows: flows(message.limit, message.receipt) });
      break;
    default:
      message satisfies never;
  }
});
