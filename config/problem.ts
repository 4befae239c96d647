/** How problems are put in order, bounded and printed. */
import type { Place, Problem } from './document.ts';

/** More would not be read; a file that is wrong in every line should not fill a terminal or a response. */
export const PROBLEMS_MAX = 200;

/** A quoted value longer than this tells the reader nothing more about where to look. */
const SHOWN_CHARACTERS_MAX = 60;

/** Control and bidirectional characters would let a file rewrite the terminal line that complains about it. */
const UNPRINTABLE = /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** `file:line:column: error[code]: message (at /key/path); did you mean "…"?` in one line. */
export function formatProblem(problem: Problem): string {
  const place = problem.place === null ? '' : `${formatPlace(problem.place)}: `;
  const path = problem.path === '' ? '' : ` (at ${problem.path})`;
  const suggestion = problem.suggestion === undefined ? '' : `; did you mean ${shown(problem.suggestion)}?`;
  return `${place}${problem.severity}[${problem.code}]: ${problem.message}${path}${suggestion}`;
}

/** `file:line:column`. */
export function formatPlace(place: Place): string {
  return `${place.file}:${place.line}:${place.column}`;
}

/** A value from the file as it appears inside a message: quoted when text, cut when long, without control characters. */
export function shown(value: unknown): string {
  if (typeof value !== 'string') return String(value);
  const cut = value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value;
  return printable(JSON.stringify(cut));
}

/** One step of a JSON pointer (RFC 6901 §3). */
export function pointerStep(step: string | number): string {
  return `/${printable(String(step)).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

/** Sorted by place, at most `PROBLEMS_MAX`, errors kept before warnings; what was left out is counted in a last entry. */
export function settle(problems: readonly Problem[]): Problem[] {
  if (problems.length <= PROBLEMS_MAX) return [...problems].sort(byPlace);
  const bySeverity = [...problems].sort((a, b) => a.severity.localeCompare(b.severity) || byPlace(a, b));
  const kept = bySeverity.slice(0, PROBLEMS_MAX).sort(byPlace);
  const left = bySeverity.slice(PROBLEMS_MAX);
  return [
    ...kept,
    {
      code: 'more-problems',
      severity: left.some((problem) => problem.severity === 'error') ? 'error' : 'warning',
      path: '',
      place: null,
      message: `${left.length} more problems are not shown. Correct the ones above and check again.`,
    },
  ];
}

function byPlace(a: Problem, b: Problem): number {
  if (a.place === null || b.place === null) return Number(a.place !== null) - Number(b.place !== null);
  if (a.place.file !== b.place.file) return a.place.file < b.place.file ? -1 : 1;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}

function printable(text: string): string {
  return text
    .replace(/[\u0000-\u001f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
