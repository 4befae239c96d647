/** Runs a node from a file until it is told to stop or followed: start, reload on SIGHUP, drain on SIGTERM and Ctrl-C, successor on SIGUSR2. */
import { join } from 'node:path';
import type { AdminToken, Document } from '../../config/document.ts';
import type { Source } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import type { Admin } from '../admin/server.ts';
import { History, keepHistory } from '../observe/history.ts';
import { openJournal } from '../observe/journal-store.ts';
import { type Logger, type LogLevel, openLog } from '../observe/log.ts';
import { Audit } from '../versions/audit.ts';
import { Control } from '../versions/control.ts';
import { type DiskTrouble, whyNotKept } from '../versions/durable.ts';
import { readGiven } from '../versions/given.ts';
import { formatView, type Refused } from '../versions/orders.ts';
import { VersionStore } from '../versions/store.ts';
import { removeSocket } from '../wire/listen.ts';
import { takeActivated } from './activation.ts';
import { AdminPlace } from './admin-place.ts';
import type { Leaving } from './handover.ts';
import { Node } from './node.ts';
import { Ownership } from './ownership.ts';
import { Service } from './service.ts';
import { Sockets } from './sockets.ts';
import { isStateNamed, stateFault } from './state-folder.ts';
import { startSuccessor } from './successor.ts';

export interface RunOptions {
  readonly file: string;
  /** How long SIGTERM waits for what is under way. */
  readonly drainMs: number;
  /** Overrides the file. */
  readonly workers: number | null;
  /** Takes over from the process that owns the state folder, if there is one. */
  readonly takeover?: boolean;
  /** The program and its words for a new process that takes over from this one on SIGUSR2; null or absent where there is none. */
  readonly successor?: readonly string[] | null;
  /** Overrides the file. */
  readonly logLevel?: LogLevel;
  /** Beside those of the file: whose orders are taken as well. */
  readonly tokens?: readonly AdminToken[];
  readonly onReady?: (info: { vips: string[]; admin: string | null }) => void;
}

/** Why a node could not start; `code` is stable, the message is one line a problem. */
export class StartError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A second signal this long after the first one ends the drain at once. */
const HURRY_AFTER_MS = 1_000;
const UNIX = 'unix:';
/** How late the list of problems may know of one. */
const PROBLEMS_MS = 2_000;

/** Resolves with the exit status when the node has drained. Rejects with an error that has a `code` where it cannot start. */
export async function runNode(options: RunOptions): Promise<number> {
  const { sources, loaded } = readGiven(options.file);
  if (!loaded.ok) throw new StartError('bad-file', loaded.problems.map(formatProblem).join('\n'));
  const { document, warnings } = loaded;
  const settings = document.process;
  const log = openLog(options.logLevel ?? settings.log.level, settings.node);
  for (const warning of warnings) log.warn({ code: warning.code }, formatProblem(warning));
  const workers = options.workers ?? settings.workers;
  const sockets = new Sockets(workers);
  for (const lent of takeActivated(process.env, document)) sockets.add(lent);
  // Listened for from here on: a node that is told to stop while it starts stops in order, too.
  const stopping = stopSignal();
  const stateTrouble = settings.state === null ? null : await stateFault(settings.state);
  if (stateTrouble !== null && isStateNamed(document))
    throw new StartError('state-unusable', `process.state: ${stateTrouble}, or write state: off to keep nothing`);
  const state = stateTrouble === null ? settings.state : null;
  const ownership = await Ownership.claim(state, options.takeover ?? false, log);
  try {
    return await runOwned({ ...options, document, sources, log, sockets, workers, ownership, stopping, state, stateTrouble });
  } catch (error) {
    // The process that was to be followed goes on as before.
    ownership.predecessor?.giveUp();
    ownership.close(false);
    sockets.close();
    throw error;
  }
}

interface Owned extends RunOptions {
  readonly document: Document;
  readonly sources: readonly Source[];
  readonly log: Logger;
  readonly sockets: Sockets;
  readonly workers: number;
  readonly ownership: Ownership;
  readonly stopping: Promise<string>;
  /** null: everything is kept in memory. */
  readonly state: string | null;
  /** Why the usual state folder, which no file names, is done without. */
  readonly stateTrouble: string | null;
}

async function runOwned(owned: Owned): Promise<number> {
  const { document, log, sockets, ownership, state, stateTrouble } = owned;
  const settings = document.process;
  const { predecessor } = ownership;
  const journal = openJournal({
    directory: state === null ? null : join(state, 'journal'),
    sizeBytes: settings.journal.sizeBytes,
    segmentBytes: settings.journal.segmentBytes,
    ageMs: settings.journal.ageMs,
    onTrouble: (trouble) =>
      trouble === null
        ? log.info({}, 'the journal is written again')
        : log.error({ code: trouble.code }, `the journal cannot be written: ${trouble.message}`),
  });
  const activated = sockets.vips;
  for (const lent of predecessor?.sockets ?? []) {
    // The service manager's own, which this process has been given already.
    if (activated.has(lent.vip)) lent.socket.close();
    else sockets.add(lent);
  }
  const service = new Service({ ...process.env }, log);
  const node = new Node({ node: settings.node, workers: owned.workers }, journal, log, sockets);
  if (stateTrouble !== null) {
    const message = `${stateTrouble}: versions, audit and journal are kept in memory, and a restart will not know them`;
    log.error({}, message);
    node.problems.set('state', '', message);
  }
  node.problems.ask('journal', () => {
    const trouble = journal.trouble();
    return trouble === null ? [] : [['', `${trouble.message} Dropped since the start: ${node.counters().journal.dropped}.`, trouble.since]];
  });
  // Looked at without anybody who asks, so that the list knows since when.
  const looking = setInterval(() => node.problems.counts(), PROBLEMS_MS).unref();
  const control = new Control(node, ...(await openKept(state, log)), log);
  let admin: Admin | null = null;
  const followed = Promise.withResolvers<string>();
  let isReady = false;
  let wasFollowed = false;
  let adminLeft: Promise<void> | undefined;
  let isStopped = false;
  void owned.stopping.then(() => (isStopped = true));
  const leaving: Leaving = {
    isReady: () => isReady,
    hold: () => control.hold(),
    lend: () => node.lendSockets(),
    lendAdmin: () => admin?.lend() ?? null,
    failed: (pid, why) => log.error({ pid, why }, 'a process that came to take over did not; this one carries on'),
    async followed(pid) {
      log.info({ pid }, 'a new process carries the traffic');
      isReady = false;
      wasFollowed = true;
      await service.close();
      await control.close();
      adminLeft = admin?.leave();
      admin = null;
      ownership.close(true);
      followed.resolve('takeover');
    },
  };
  // A node that follows another has its folder only once it carries the traffic.
  if (predecessor === null) await ownership.settle(leaving);
  // A reload that is asked for during the start comes after it.
  const reload = () => void reloadFile(owned.file, control, document, log, service, () => describe(node, document));
  process.on('SIGHUP', reload);
  const started = await control.start(owned.sources, document);
  // What a predecessor listens on stays where it is, unix sockets and their paths as well.
  if (!started.ok || (predecessor !== null && isStopped)) {
    await control.close();
    await node.drain(0, predecessor !== null);
    if (started.ok) throw new StartError('stopped', 'told to stop before it had taken over; the running process goes on');
    throw new StartError('cannot-start', (started.problems ?? []).map((problem) => problem.message).join('\n') || started.message);
  }
  for (const path of sockets.settle()) if (path.startsWith(UNIX)) removeSocket(path.slice(UNIX.length));
  const history = new History();
  const sampling = keepHistory(node, history);
  const place = new AdminPlace(
    { ...settings, adminTokens: [...settings.adminTokens, ...(owned.tokens ?? [])] },
    node,
    history,
    log,
    control,
  );
  if (predecessor !== null) {
    // Orders that come before the folder is this process's wait until it is.
    const begin = await control.hold();
    admin = await place.openBeside(predecessor);
    await ownership.settle(leaving);
    begin(false);
    place.giveUp(predecessor);
    void predecessor.gone.then(() => journal.readFolder());
  }
  try {
    admin ??= await place.open(predecessor !== null);
  } catch (error) {
    sampling.stop();
    await control.close();
    await node.drain(0);
    throw error;
  }
  const vips = document.applications.flatMap((application) => application.vips.map((vip) => vip.endpoint.text));
  log.info(
    { vips: vips.length, admin: admin?.address().text ?? null, workers: node.workers().length, generation: started.generation },
    'ready',
  );
  isReady = true;
  service.ready(describe(node, document));
  service.watch(() => node.isAlive());
  const successor = () => void startSuccessor(owned.successor ?? null, log);
  process.on('SIGUSR2', successor);
  owned.onReady?.({ vips, admin: admin?.address().text ?? null });

  const signal = await Promise.race([owned.stopping, followed.promise]);
  isReady = false;
  log.info({ signal, drainMs: owned.drainMs }, 'draining');
  if (!wasFollowed) service.stopping('draining');
  const drainingSince = performance.now();
  // A terminal and npm both pass Ctrl-C on, so the second one that comes at once is the same one.
  const hurry = () => {
    if (performance.now() - drainingSince > HURRY_AFTER_MS) process.exit(1);
  };
  process.on('SIGINT', hurry);
  process.on('SIGTERM', hurry);
  // A signal can come in the middle of a takeover, which then comes to its end first.
  await control.close();
  if (wasFollowed) await followed.promise;
  const cut = await node.drain(owned.drainMs, wasFollowed);
  sampling.stop();
  clearInterval(looking);
  await adminLeft;
  await admin?.close();
  if (!wasFollowed) ownership.close(false);
  await service.close();
  process.off('SIGHUP', reload);
  process.off('SIGUSR2', successor);
  process.off('SIGINT', hurry);
  process.off('SIGTERM', hurry);
  if (cut > 0) log.warn({ connections: cut }, 'the drain time is over; connections that were still open are cut');
  log.info({}, 'stopped');
  log.flush();
  return 0;
}

/** One line for the service manager's status. */
function describe(node: Node, document: Document): string {
  const vips = document.applications.reduce((sum, { vips: { length } }) => sum + length, 0);
  return `generation ${node.policy().generation} in force; ${vips} VIPs, ${node.workers().length} workers`;
}

/** Applies the file again. On any problem the policy in force stays, and the log says why. */
async function reloadFile(
  file: string,
  control: Control,
  started: Document,
  log: Logger,
  service: Service,
  status: () => string,
): Promise<void> {
  service.reloading();
  const { sources, loaded } = readGiven(file);
  const result = await control.reload(sources, loaded).catch(fault);
  service.ready(result.ok ? status() : 'the file is not applied; the last good policy stays in force');
  if (!result.ok) {
    const problems = (result.problems ?? []).map(formatView);
    log.error(
      { problems: problems.length > 0 ? problems : [result.message] },
      'the file is not applied; the last good policy stays in force',
    );
    return;
  }
  if (loaded.ok && JSON.stringify(loaded.document.process) !== JSON.stringify(started.process))
    log.warn({}, 'process: has changed in the file; it is read at start only, so a restart is needed for it');
}

/** A fault of ours in a reload is no reason to end what is carried. */
function fault(error: unknown): Refused {
  return { ok: false, code: 'refused', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** Versions and audit. What cannot be written later waits in memory; what cannot be read now is a folder to be looked at before the start. */
async function openKept(state: string | null, log: Logger): Promise<[VersionStore, Audit]> {
  const folder = state === null ? null : join(state, 'versions');
  const told = (unwritten: string, written: string) => (trouble: DiskTrouble | null) =>
    trouble === null ? log.info({}, written) : log.error({ code: trouble.code, why: trouble.why }, unwritten);
  try {
    return [
      await VersionStore.open(folder, {
        onTrouble: told(
          'versions cannot be written; they are kept in memory, and a restart would not know them',
          'versions are written again',
        ),
      }),
      await Audit.open(folder, {
        onTrouble: told('the audit cannot be written; its entries wait in memory', 'the audit is written again, with all that has waited'),
      }),
    ];
  } catch (error) {
    throw new StartError(
      'state-unusable',
      `process.state: ${folder} cannot be read (${whyNotKept(error).why}), or write state: off to keep nothing`,
    );
  }
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    const stop = (signal: string) => {
      process.off('SIGTERM', stop);
      process.off('SIGINT', stop);
      resolve(signal);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}
