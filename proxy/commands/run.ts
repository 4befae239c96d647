/** `bulkhead run`: the words of the command line made into the options of a node. */
import { parseDuration } from '../../config/quantity.ts';
import { CommandError, EXIT } from './exit.ts';
import { requireReadable } from './loaded.ts';

export interface RunWords {
  readonly drain: string;
  readonly workers?: string;
  readonly takeover?: true;
}

const COUNT = /^[1-9][0-9]{0,2}$/;
/** As many as the file may ask for. */
const WORKERS_MOST = 256;

/** Resolves when the node has drained. A node that cannot start ends the command with the reason. */
export async function run(file: string, words: RunWords): Promise<number> {
  const options = {
    file,
    drainMs: readDrain(words.drain),
    workers: readWorkers(words.workers),
    takeover: words.takeover ?? false,
    successor: successorOf(process.argv),
  };
  requireReadable(file);
  const { runNode } = await import('../node/run.ts');
  return runUntilStopped(() => runNode(options));
}

/**
 * Runs a node. An error that carries a stable code (a bad file, an address in use) ends the command with lines for the reader; any other
 * is a fault of ours.
 */
export async function runUntilStopped(start: () => Promise<number>): Promise<number> {
  // Under npm a Ctrl-C comes twice, from the terminal and from npm. The second must not kill what has drained and is about to end.
  process.on('SIGINT', () => {});
  try {
    return await start();
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
    throw new CommandError(error.message.replaceAll('\n', '\nbulkhead: '), EXIT.no, { cause: error });
  }
}

/** The same command once more, which takes over from this one. */
function successorOf(words: readonly string[]): string[] {
  return [...process.execArgv, ...words.slice(1).filter((word) => word !== '--takeover'), '--takeover'];
}

function readDrain(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === null) throw new CommandError(`--drain ${JSON.stringify(text)} is not a duration: write 500ms, 30s or 5m`);
  return milliseconds;
}

function readWorkers(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!COUNT.test(text) || Number(text) > WORKERS_MOST) {
    throw new CommandError(`--workers ${JSON.stringify(text)} is not a number from 1 to ${WORKERS_MOST}`);
  }
  return Number(text);
}
