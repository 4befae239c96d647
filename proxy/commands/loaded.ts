/** Files as the commands read them: a file that cannot be read ends the command, whatever it was to be read for. */
import type { Document, Problem } from '../../config/document.ts';
import { type LoadResult, loadDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { readSources } from '../../config/read.ts';
import { CommandError } from './exit.ts';

/** The file, good or bad. Ends the command with one line where it cannot be read at all. */
export function loadFile(file: string): LoadResult {
  const loaded = loadDocument(file);
  if (!loaded.ok) refuseUnreadable(loaded.problems);
  return loaded;
}

/** Ends the command where the file cannot be read, before anything else is started for it. */
export function requireReadable(file: string): void {
  refuseUnreadable(readSources(file).problems);
}

/** The document of a file that has to be good for what is asked. Ends the command with the first error where it is not. */
export function loadGoodFile(file: string): Document {
  const loaded = loadFile(file);
  if (loaded.ok) return loaded.document;
  const errors = loaded.problems.filter((problem) => problem.severity === 'error');
  const more = errors.length > 1 ? `; bulkhead check ${file} tells all ${errors.length} errors` : '';
  throw new CommandError(`${formatProblem(errors[0]!)}${more}`);
}

function refuseUnreadable(problems: readonly Problem[]): void {
  const unreadable = problems.find((problem) => problem.code === 'unreadable-file');
  if (unreadable !== undefined) throw new CommandError(unreadable.message);
}
