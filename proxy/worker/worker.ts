/**
 * A worker thread: binds every VIP, carries its connections from accept to close, and does what the main thread says: swap the policy, drain, stop.
 */
import { getSystemErrorName } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { Upstreams } from '../http/upstreams.ts';
import { KeySets } from '../identity/key-sets.ts';
import type { FromWorker, Plan, PlannedApplication, ToWorker, WorkerStart } from '../node/plan.ts';
import type { FlowRecord } from '../observe/view.ts';
import { LimitTable } from '../shared/limit-table.ts';
import { countInRow } from '../shared/node-limits.ts';
import { ServerTable } from '../shared/servers.ts';
import { checkNative } from '../wire/native.ts';
import { TICK_MS, Wheel } from '../wire/wheel.ts';
import { Acceptor } from './acceptor.ts';
import { ConnectionCaps } from './caps.ts';
import type { Context } from './context.ts';
import { fetchInherited, type Inherited, lendSockets } from './inherited.ts';
import { JournalWriter } from './journal-writer.ts';
import { PolicyInForce } from './policy-in-force.ts';
import { SessionList } from './sessions.ts';
import { type Asked, redecideAll } from './swap.ts';

const port = parentPort!;
const start = workerData as WorkerStart;
checkNative();
countInRow(start.shared.limits, start.worker);

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
  limitTable: new LimitTable(start.shared.workers, start.shared.ruleLimits),
  journal: new JournalWriter(start.ring, start.receiptPrefix, clock, () => send({ type: 'pressing' })),
  upstreams: new Upstreams(wheel),
  keys: new KeySets((location) => send({ type: 'keys-wanted', location })),
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
  const before = context.policy as PolicyInForce | undefined;
  const inherited = await fetchInherited(plan, context.worker, (vip, isShared) => needsAcceptor(plan, vip, before, isShared));
  // The node was told to leave while the sockets were on their way.
  if (context.draining) {
    for (const { sockets } of inherited.values()) for (const socket of sockets) socket.close();
    send({ type: 'swapped', generation: plan.generation, cut: 0, draining: 0, kept: context.sessions.size, failures: [] });
    return;
  }
  clock.coarse = performance.now();
  const { opened, failures } = openVips(plan, before, inherited);
  if (failures.length > 0 && before !== undefined) {
    // Whole or not at all: nothing has changed yet, and the main thread takes the plan back everywhere.
    for (const acceptor of opened.values()) acceptor.close();
    send({ type: 'swapped', generation: plan.generation, cut: 0, draining: 0, kept: context.sessions.size, failures });
    return;
  }
  const policy = new PolicyInForce(plan, servers, context.keys, context.random);
  settleVips(plan, before, opened, failures);
  context.policy = policy;
  context.upstreams.closeIdle(rowsSpokenToAsBefore(plan, before));
  const asked = before === undefined ? NOBODY_ASKED : await redecideAll(context.sessions);
  send({ type: 'swapped', generation: plan.generation, ...asked, failures });
}

/** Of the first policy. */
const NOBODY_ASKED: Asked = { cut: 0, kept: 0, draining: 0 };

/** Rows of servers whose kept connections may go on: not those that are gone, nor those that are spoken to with other TLS now, or in another protocol. */
function rowsSpokenToAsBefore(plan: Plan, before: PolicyInForce | undefined): Set<number> {
  const spoken = (of: Plan) =>
    of.pools.flatMap(({ servers, protocol }) => servers.map(({ row, target }) => [row, `${protocol} ${target.tls?.id}`] as const));
  const was = new Map(before === undefined ? [] : spoken(before.plan));
  return new Set(spoken(plan).flatMap(([row, words]) => (was.get(row) === words ? [row] : [])));
}

type Failures = { endpoint: string; code: string }[];

/** Whether the VIP stays with the acceptor that it has: another application, or another mode, begins with an acceptor of its own. */
function staysWith(existing: Acceptor, application: PlannedApplication, before: PolicyInForce | undefined): boolean {
  const was = before?.plan.applications[existing.place.application];
  return was !== undefined && was.name === application.name && was.mode === application.mode;
}

/** A unix socket that this node bound stays bound while it changes hands; one that it was given can be had a second time. */
function needsAcceptor(plan: Plan, vip: Plan['vips'][number], before: PolicyInForce | undefined, isShared: boolean): boolean {
  const existing = acceptors.get(vip.endpoint.text);
  if (existing === undefined) return true;
  return !(vip.endpoint.kind === 'unix' && !isShared) && !staysWith(existing, plan.applications[vip.application]!, before);
}

/** Opens what is new, beside what there is. A unix socket that changes hands can be bound only once the old one is closed. */
function openVips(
  plan: Plan,
  before: PolicyInForce | undefined,
  inherited: ReadonlyMap<string, Inherited>,
): { opened: Map<string, Acceptor>; failures: Failures } {
  const opened = new Map<string, Acceptor>();
  const failures: Failures = [];
  plan.vips.forEach((vip, index) => {
    const { endpoint, application } = vip;
    const given = inherited.get(endpoint.text) ?? null;
    // A unix socket can be bound once: the first worker has them all, but for those that were given to every worker.
    if (endpoint.kind === 'unix' && context.worker !== 0 && (given === null || given.sockets.length === 0)) return;
    if (!needsAcceptor(plan, vip, before, given?.isShared ?? false)) return;
    const acceptor = new Acceptor(context, endpoint, index, application, acceptTrouble);
    const code = acceptor.open(given);
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

/**
 * A patient drain ends nothing by itself: a kept-alive connection that is idle now ends with its next response, since its next request could be on its
 * way already; and what waits to be recognised is recognised.
 */
function drain(handedOver: boolean, patient: boolean): void {
  context.draining = true;
  for (const acceptor of acceptors.values()) acceptor.close(handedOver);
  context.upstreams.closeIdle(null);
  if (patient) return;
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
      drain(message.handedOver, message.patient);
      break;
    case 'lend':
      void lendSockets(message.desk, acceptors.values());
      break;
    case 'keys':
      context.keys.learn(message.location, message.keys);
      // The first keys can come before the first policy.
      (context.policy as PolicyInForce | undefined)?.forgetTokens();
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
