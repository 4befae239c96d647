/**
 * A worker thread: binds every VIP, carries its connections from accept to close, and does what the main thread says: swap the policy, drain, stop.
 */
import { getSystemErrorName } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import { Upstreams } from '../http/upstreams.ts';
import { KeySets } from '../identity/key-sets.ts';
import type { FromWorker, Plan, ToWorker, WorkerStart } from '../node/plan.ts';
import type { FlowRecord } from '../observe/view.ts';
import { LimitTable } from '../shared/limit-table.ts';
import { countInRow } from '../shared/node-limits.ts';
import { ServerTable } from '../shared/servers.ts';
import { checkNative } from '../wire/native.ts';
import { TICK_MS, Wheel } from '../wire/wheel.ts';
import { ConnectionCaps } from './caps.ts';
import { followWall } from './clock.ts';
import type { Context } from './context.ts';
import { lendSockets } from './inherited.ts';
import { JournalWriter } from './journal-writer.ts';
import { PolicyInForce } from './policy-in-force.ts';
import type { Session } from './session.ts';
import { SessionList } from './sessions.ts';
import { type Asked, nextTurn, redecideAll } from './swap.ts';
import { type Openings, Vips } from './vips.ts';

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

const vips = new Vips(context, acceptTrouble);

/** Every tick; a worker without sessions or idle connections turns an empty wheel, which costs nothing worth saving. */
setInterval(() => {
  clock.coarse = performance.now();
  followWall(clock, Date.now());
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

/** A policy that is ready to come into force, and nothing has changed yet. */
interface Ready {
  readonly plan: Plan;
  readonly policy: PolicyInForce;
  readonly openings: Openings;
}
let ready: Ready | null = null;

/** Binds what is new, so that what cannot be had is known before any worker has swapped. */
async function prepare(plan: Plan): Promise<Openings['failures']> {
  abandon();
  // To read the plan, to bind, and to make the policy are a turn of the loop each, so that nobody waits for all of them at once.
  await nextTurn();
  const openings = await vips.open(plan);
  await nextTurn();
  // The node was told to leave while sockets were on their way.
  if (context.draining) {
    close(openings);
    return [];
  }
  ready = { plan, policy: new PolicyInForce(plan, servers, context.keys, context.random), openings };
  return openings.failures;
}

function abandon(): void {
  if (ready !== null) close(ready.openings);
  ready = null;
}

/** A list of revoked certificates that was renewed names the client of a session that began before. */
function isRevoked({ arrival, listener }: Session): boolean {
  const certificate = arrival.tls?.certificate ?? null;
  if (certificate === null || listener.application < 0) return false;
  return context.policy.tlsOf(listener.application)?.revokes(certificate) === true;
}

/** Swaps, and asks every live session again. */
async function commit(generation: number): Promise<void> {
  if (context.draining) {
    abandon();
    send({ type: 'swapped', generation, cut: 0, draining: 0, kept: context.sessions.size, failures: [] });
    return;
  }
  if (ready === null || ready.plan.generation !== generation) return;
  const { plan, policy, openings } = ready;
  const { failures } = openings;
  ready = null;
  clock.coarse = performance.now();
  const before = context.policy as PolicyInForce | undefined;
  if (before !== undefined) policy.continueFrom(before);
  context.policy = policy;
  vips.settle(plan, before?.plan, openings);
  context.upstreams.closeIdle(rowsSpokenToAsBefore(plan, before));
  const asked = before === undefined ? NOBODY_ASKED : await redecideAll(context.sessions, isRevoked);
  bindLater(failures);
  send({ type: 'swapped', generation, ...asked, failures });
}

let binding: NodeJS.Timeout | undefined;
/** Where VIPs could not be bound it is tried again: of one worker alone, started again in place of another, nobody else asks for it. */
function bindLater(failures: Openings['failures']): void {
  clearTimeout(binding);
  if (failures.length > 0) binding = setTimeout(() => inTurn(() => bindAgain(failures)), start.bindMs);
}

async function bindAgain(failures: Openings['failures']): Promise<void> {
  if (context.draining) return;
  // What is ready for the next policy may have bound them; it is not known yet whether that comes into force.
  if (ready !== null) return bindLater(failures);
  const { plan } = context.policy as PolicyInForce;
  const openings = await vips.open(plan);
  // The node was told to leave while sockets were on their way.
  if (context.draining) return close(openings);
  vips.settle(plan, plan, openings);
  bindLater(openings.failures);
  send({ type: 'bound', failures: openings.failures });
}

function close({ opened }: Openings): void {
  for (const opening of opened.values()) opening.close();
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
  vips.close(handedOver);
  abandon();
  context.upstreams.closeIdle(null);
  if (patient) return;
  const walk = context.sessions.walk();
  for (let session = walk.step(); session !== null; session = walk.step()) session.drain();
  if (context.sessions.size === 0) announceIdle();
}

function stop(): void {
  vips.close();
  abandon();
  const walk = context.sessions.walk();
  for (let session = walk.step(); session !== null; session = walk.step()) session.abort('node stopped');
  context.journal.publish();
  port.close();
  // One turn of the loop, so that resets leave before the thread does.
  setImmediate(() => process.exit(0));
}

let turn: Promise<void> = Promise.resolve();
/** One step of a swap after the other, in the order in which the main thread said so. */
function inTurn(step: () => Promise<void>): void {
  turn = turn.then(step);
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'prepare':
      inTurn(async () => send({ type: 'prepared', generation: message.plan.generation, failures: await prepare(message.plan) }));
      break;
    case 'commit':
      inTurn(() => commit(message.generation));
      break;
    case 'abandon':
      inTurn(async () => {
        if (ready?.plan.generation === message.generation) abandon();
      });
      break;
    case 'swap':
      inTurn(async () => {
        await prepare(message.plan);
        await commit(message.plan.generation);
      });
      break;
    case 'drain':
      drain(message.handedOver, message.patient);
      break;
    case 'lend':
      void lendSockets(message.desk, vips);
      break;
    case 'keys':
      context.keys.learn(message.location, message.keys);
      // Where nothing new has come, what tokens came to still holds. The first keys can come before the first policy.
      if (message.keys !== null) (context.policy as PolicyInForce | undefined)?.forgetTokens();
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
