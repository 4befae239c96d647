/** A file as it was given: its texts, and what they come to. Read once, so that the two cannot differ. */
import { type LoadResult, loadDocument, parseDocument, type Source } from '../../config/load.ts';
import { readSources } from '../../config/read.ts';

export interface Given {
  readonly sources: readonly Source[];
  readonly loaded: LoadResult;
}

/** Never throws: what cannot be read is a problem. */
export function readGiven(path: string): Given {
  const { sources, problems } = readSources(path);
  if (problems.some(({ severity }) => severity === 'error')) return { sources, loaded: loadDocument(path) };
  const loaded = parseDocument(sources);
  return { sources, loaded: loaded.ok ? { ...loaded, warnings: [...problems, ...loaded.warnings] } : loaded };
}
