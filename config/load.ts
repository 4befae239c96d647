/** From a path or from texts to a document, or to everything that is wrong with them. */
import type { Document, Problem } from './document.ts';
import { SOURCE_BYTES_MAX } from './limits.ts';
import { mergeTrees } from './merge.ts';
import { settle } from './problem.ts';
import { readSources } from './read.ts';
import { resolveDocument } from './resolve.ts';
import { shapeOf } from './shape.ts';
import { findControlCharacter } from './text.ts';
import type { Tree } from './tree.ts';
import { Report } from './tree.ts';
import type { Environment } from './variables.ts';
import { readYaml } from './yaml.ts';

/** A document with what is doubtful in it, or the problems (errors and warnings) that keep it from being one, sorted by place. */
export type LoadResult =
  | { readonly ok: true; readonly document: Document; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** One text and the name under which problems speak of it. */
export interface Source {
  readonly file: string;
  readonly text: string;
}

/** Reads a YAML file, or every `*.yaml` of a folder in the order of their names. Never throws; variables come from `env`. */
export function loadDocument(path: string, env: Environment = process.env): LoadResult {
  const { sources, problems } = readSources(path);
  if (problems.some((problem) => problem.severity === 'error')) return { ok: false, problems: settle(problems) };
  const result = parseDocument(sources, env);
  if (result.ok) return { ...result, warnings: settle([...problems, ...result.warnings]) };
  return { ok: false, problems: settle([...problems, ...result.problems]) };
}

/** Reads texts that make one document together. Never throws; variables come from `env`. */
export function parseDocument(sources: readonly Source[], env: Environment = process.env): LoadResult {
  const problems: Problem[] = [];
  const document = readDocument(sources, env, problems);
  if (document === null || problems.some((problem) => problem.severity === 'error')) {
    // Where something is wrong, a VIP may be missing from what was looked at: then nothing is known of ports without one.
    return { ok: false, problems: settle(problems.filter((problem) => problem.code !== 'port-never-matches')) };
  }
  return { ok: true, document, warnings: settle(problems) };
}

function readDocument(sources: readonly Source[], env: Environment, problems: Problem[]): Document | null {
  const trees = readTrees(sources, env, problems);
  if (trees === null) return null;
  const tree = mergeTrees(trees, problems);
  if (tree === null) {
    if (problems.length === 0) problems.push(emptyFile(sources));
    return null;
  }
  const shaped = shapeOf(new Report(tree, problems));
  return shaped === null ? null : resolveDocument(shaped, tree, problems);
}

/** null where a text cannot be read as YAML: what the others refer to may stand in it. */
function readTrees(sources: readonly Source[], env: Environment, problems: Problem[]): Tree[] | null {
  const length = sources.reduce((sum, { text }) => sum + text.length, 0);
  if (length > SOURCE_BYTES_MAX) {
    const place = { file: sources[0]!.file, line: 1, column: 1 };
    problems.push({
      code: 'too-large',
      severity: 'error',
      path: '',
      place,
      message: `There are more than ${SOURCE_BYTES_MAX} bytes of text. Split what belongs to other nodes off.`,
    });
    return null;
  }
  const budget = { aliased: 0 };
  const trees: Tree[] = [];
  let readable = true;
  for (const { file, text } of sources) {
    const control = findControlCharacter(file, text);
    if (control !== null) problems.push(control);
    const reading = control === null ? readYaml(file, text, env, budget) : { tree: null, problems: [] };
    for (const problem of reading.problems) problems.push(problem);
    if (reading.tree === null) readable = false;
    else trees.push(reading.tree);
  }
  return readable ? trees : null;
}

function emptyFile(sources: readonly Source[]): Problem {
  const place = sources[0] === undefined ? null : { file: sources[0].file, line: 1, column: 1 };
  return {
    code: 'empty-file',
    severity: 'error',
    path: '',
    place,
    message: 'The file says nothing. Begin with "version: 1", then pools: and applications:.',
  };
}
