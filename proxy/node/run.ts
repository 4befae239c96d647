/** Runs a node from a file until it is told to stop: start, reload on SIGHUP, drain on SIGTERM and Ctrl-C. */
import { join } from 'node:path';
import type { Document } from '../../config/document.ts';
import { formatProblem } from '../../config/problem.ts';
import { type Admin, openAdmin } from '../admin/server.ts';
import { History, keepHistory } from '../observe/history.ts';
import { openJournal } from '../observe/journal-store.ts';
import { type Logger, type LogLevel, openLog } from '../observe/log.ts';
import { Audit } from '../versions/audit.ts';
import { Control } from '../versions/control.ts';
import { readGiven } from '../versions/given.ts';
import type { Refused } from '../versions/orders.ts';
import { VersionStore } from '../versions/store.ts';
import { Node } from './node.ts';

export interface RunOptions {
  readonly file: string;
  /** How long SIGTERM waits for what is under way. */
  readonly drainMs: number;
  /** Overrides the file. */
  readonly workers: number | null;
  /** Overrides the file. */
  readonly logLevel?: LogLevel;
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

/** Resolves with the exit status when the node has drained. Rejects with a StartError where it cannot start. */
export async function runNode(options: RunOptions): Promise<number> {
  const { sources, loaded } = readGiven(options.file);
  if (!loaded.ok) throw new StartError('bad-file', loaded.problems.map(formatProblem).join('\n'));
  const { document, warnings } = loaded;
  const settings = document.process;
  const log = openLog(options.logLevel ?? settings.log.level, settings.node);
  for (const warning of warnings) log.warn({ code: warning.code }, formatProblem(warning));
  const journal = openJournal({
    directory: settings.state === null ? null : join(settings.state, 'journal'),
    sizeBytes: settings.journal.sizeBytes,
    segmentBytes: settings.journal.segmentBytes,
    onTrouble: (trouble) =>
      trouble === null
        ? log.info({}, 'the journal is written again')
        : log.error({ code: trouble.code }, `the journal cannot be written: ${trouble.message}`),
  });
  // Listened for from here on: a node that is told to stop while it starts stops in order, too.
  const stopping = stopSignal();
  const node = new Node({ node: settings.node, workers: options.workers ?? settings.workers }, journal, log);
  // A reload that is asked for during the start comes after it.
  const control = new Control(node, await openVersions(settings.state, log), await openAudit(settings.state, log), log);
  const reload = () => void reloadFile(options.file, control, document, log);
  process.on('SIGHUP', reload);
  const started = await control.start(sources, document);
  if (!started.ok) {
    await control.close();
    await node.drain(0);
    throw new StartError('cannot-start', (started.problems ?? []).map((problem) => problem.message).join('\n') || started.message);
  }
  const history = new History();
  const sampling = keepHistory(node, history);
  let admin: Admin | null = null;
  try {
    if (settings.admin !== null)
      admin = await openAdmin(settings.admin, node, history, log, { orders: control, tokens: settings.adminTokens });
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
  options.onReady?.({ vips, admin: admin?.address().text ?? null });

  const signal = await stopping;
  log.info({ signal, drainMs: options.drainMs }, 'draining');
  const drainingSince = performance.now();
  // A terminal and npm both pass Ctrl-C on, so the second one that comes at once is the same one.
  const hurry = () => {
    if (performance.now() - drainingSince > HURRY_AFTER_MS) process.exit(1);
  };
  process.on('SIGINT', hurry);
  process.on('SIGTERM', hurry);
  await control.close();
  const cut = await node.drain(options.drainMs);
  sampling.stop();
  await admin?.close();
  process.off('SIGHUP', reload);
  process.off('SIGINT', hurry);
  process.off('SIGTERM', hurry);
  if (cut > 0) log.warn({ connections: cut }, 'the drain time is over; connections that were still open are cut');
  log.info({}, 'stopped');
  log.flush();
  return 0;
}

/** Applies the file again. On any problem the policy in force stays, and the log says why. */
async function reloadFile(file: string, control: Control, started: Document, log: Logger): Promise<void> {
  const { sources, loaded } = readGiven(file);
  const result = await control.reload(sources, loaded).catch(fault);
  if (!result.ok) {
    const problems = (result.problems ?? []).map(
      (problem) => `${problem.at === null ? '' : `${problem.at}: `}error[${problem.code}]: ${problem.message}`,
    );
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

/** A folder that cannot be used costs the versions, which are then kept in memory, and never the start. */
async function openVersions(state: string | null, log: Logger): Promise<VersionStore> {
  try {
    return await VersionStore.open(state === null ? null : join(state, 'versions'));
  } catch (error) {
    log.error({ err: error }, 'versions cannot be kept on disk; they are kept in memory, and a restart will not know them');
    return VersionStore.open(null);
  }
}

async function openAudit(state: string | null, log: Logger): Promise<Audit> {
  try {
    return await Audit.open(state === null ? null : join(state, 'versions'));
  } catch (error) {
    log.error({ err: error }, 'the audit cannot be kept on disk; it is kept in memory');
    return Audit.open(null);
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
