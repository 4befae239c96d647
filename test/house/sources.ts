/** The project's own source text, as the house tests read it: a scan, so that it needs no compiler and takes no time. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Source {
  /** Relative to the root, with forward slashes: `config/document.ts`. */
  readonly path: string;
  readonly text: string;
  /** The text with comments and the insides of strings blanked, line breaks kept. */
  readonly code: string;
  /** Files of the project that it imports, types included, as paths like `path`. */
  readonly imports: readonly string[];
}

const FOLDERS = ['config', 'policy', 'proxy', 'test', 'bench'];
const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*|\bnew URL\(\s*)'(\.{1,2}\/[^']+\.ts)'/g;

/** Every TypeScript file under the project's folders. */
export function readSources(): Source[] {
  const paths = FOLDERS.flatMap((folder) => filesBelow(join(ROOT, folder))).filter((path) => path.endsWith('.ts'));
  return paths.map((path) => readSource(relative(ROOT, path), readFileSync(path, 'utf8')));
}

/** Every file below a folder, what is installed or generated aside. A folder that is not there has none. */
export function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.flatMap((entry) => {
    if (entry.name === 'node_modules' || entry.name === 'results' || entry.name === 'state') return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

export function readSource(path: string, text: string): Source {
  const code = blank(text);
  // An import inside a string or a comment is none: there its keyword is blank.
  const matches = [...text.matchAll(IMPORT)].filter((match) => code[match.index] !== ' ');
  const imports = matches.map((match) => posix.normalize(posix.join(dirname(path), match[1]!)));
  return { path, text, code, imports: [...new Set(imports)] };
}

/** One token whose inside says nothing about the code: a comment, a string, a template without holes, or a regular expression. */
const OPAQUE = [
  /\/\/[^\n]*/,
  /\/\*[\s\S]*?\*\//,
  /'(?:[^'\\\n]|\\.)*'/,
  /"(?:[^"\\\n]|\\.)*"/,
  /`(?:[^`\\]|\\[\s\S])*`/,
  // A slash opens a regular expression only where a value may begin.
  /(?<=[=(,:;!&|?[{}\n]\s*|return\s+)\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*/,
];
const OPAQUE_TOKEN = new RegExp(OPAQUE.map((pattern) => pattern.source).join('|'), 'g');

function blank(text: string): string {
  return text.replace(OPAQUE_TOKEN, (token) => token.replace(/[^\n]/g, ' '));
}
