/** Holds a tree against the schema and puts zod's issues into words. */
import type * as z from 'zod';
import { elsewhereKey } from './elsewhere-keys.ts';
import { pointerStep, shown } from './problem.ts';
import type { FileShape } from './schema.ts';
import { fileSchema, noteOf } from './schema.ts';
import type { Note } from './schema-leaves.ts';
import { nearest } from './spelling.ts';
import type { Edit, Path, Report, Tree } from './tree.ts';
import { edited, isContainer, isMapping, pointerAt, valueAt } from './tree.ts';

type Issue = z.core.$ZodIssue;
type Schema = z.core.$ZodType;

/** An issue at its whole path; zod's own counts from the union that it arose in. */
interface Located {
  readonly issue: Issue;
  readonly path: Path;
}

/** Each pass leaves out what was wrong; what is then missing is left out by the next. Rule, application, file: no more levels. */
const PASSES_MAX = 6;

/** `tree` is what the shape was read from: the given one, without the parts that were wrong. */
export interface Shaped {
  readonly file: FileShape;
  readonly tree: Tree;
}

/**
 * Reports everything that the schema finds. What is right of a wrong file still has a shape, so that names and lanes are looked at in
 * the same round; null where too little is left.
 */
export function shapeOf(report: Report): Shaped | null {
  let tree = report.tree;
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const result = fileSchema.safeParse(tree.data);
    if (result.success) return { file: result.data, tree };
    const issues = result.error.issues.flatMap((issue) => flatten(issue, []));
    if (pass === 0) explainAll(report, issues);
    tree = edited(
      tree,
      issues.flatMap((located) => editsFor(tree, located)),
    );
  }
  return null;
}

/** What has to go, or to be stood in for, so that the rest can be read. */
function editsFor(tree: Tree, { issue, path }: Located): Edit[] {
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => ({ path: [...path, key] }));
  if (valueAt(tree, path) === undefined && isMapping(valueAt(tree, path.slice(0, -1)))) {
    const note = schemasAt(path)
      .map(noteOf)
      .find((each) => each.standIn !== undefined);
    // What stands in was never written: nothing may be said of it.
    tree.lost.add(pointerAt(tree, path));
    if (note !== undefined) return [{ path, value: note.standIn }];
  }
  let written = path;
  while (written.length > 0 && valueAt(tree, written) === undefined) written = written.slice(0, -1);
  return written.length === 0 ? [] : [{ path: written }];
}

/** The issues of the only branch of a union that the value can have been meant for; otherwise the union's own. */
function flatten(issue: Issue, above: Path): Located[] {
  const path = [...above, ...(issue.path as Path)];
  if (issue.code === 'invalid_union') {
    const fits = issue.errors.filter(
      (branch) => !branch.some((inner) => inner.path.length === 0 && (inner.code === 'invalid_type' || inner.code === 'invalid_value')),
    );
    if (fits.length === 1) return fits[0]!.flatMap((inner) => flatten(inner, path));
  }
  return [{ issue, path }];
}

/** Unknown keys first: what is said of one also tells why the key that was meant is missing. */
function explainAll(report: Report, issues: readonly Located[]): void {
  const told = new Set<string>();
  for (const { issue, path } of issues) if (issue.code === 'unrecognized_keys') explainKeys(report, path, issue.keys, told);
  for (const located of issues)
    if (located.issue.code !== 'unrecognized_keys' && !told.has(pointerAt(report.tree, located.path))) explain(report, located);
}

function explain(report: Report, { issue, path }: Located): void {
  const { tree } = report;
  const value = valueAt(tree, path);
  const note = expectationAt(path, issue);
  const pointer = pointerAt(tree, path);
  if (value === undefined && path.length > 0) {
    if (tree.lost.has(pointer)) return;
    const parent = path.slice(0, -1);
    const what = path.at(-1)!;
    const side = typeof parent.at(-1) === 'number' ? 'value' : 'key';
    report.problems.push({
      code: 'missing-key',
      severity: 'error',
      path: pointerAt(tree, parent) + pointerStep(what),
      place: report.place(parent, side),
      message: `${shown(what)} is missing. Add it: it must be ${note}.`,
    });
    return;
  }
  if (issue.code === 'invalid_key') {
    report.error('bad-name', path, `${shown(path.at(-1))} cannot be a name. Write ${noteFor(issue, note)}.`, { side: 'key' });
    return;
  }
  if (issue.code === 'too_small' && Array.isArray(value) && tree.lost.has(pointer)) return;
  const subject = subjectOf(path);
  const side = value === null ? 'key' : 'value';
  if (issue.code === 'custom') {
    const params = (issue.params ?? {}) as { code?: string; suggestion?: string };
    const message =
      issue.message.startsWith('must ') || issue.message.startsWith('may ')
        ? withValue(`${subject} ${issue.message}`, value)
        : issue.message;
    report.error(params.code ?? 'wrong-value', path, message, { suggestion: params.suggestion });
    return;
  }
  const code =
    issue.code === 'invalid_type' || issue.code === 'invalid_union'
      ? 'wrong-type'
      : issue.code === 'too_small' || issue.code === 'too_big'
        ? 'out-of-range'
        : 'wrong-value';
  const { hint, suggestion } = hintFor(value, path, issue);
  report.error(code, path, `${subject} must be ${note}, not ${described(value)}.${hint}`, { side, suggestion });
}

/** `told` takes the pointers of what is explained thereby. */
function explainKeys(report: Report, path: Path, keys: readonly string[], told: Set<string>): void {
  const { tree } = report;
  const schema = schemasAt(path).find((candidate) => candidate._zod.def.type === 'object');
  const known = schema === undefined ? [] : Object.keys((schema as z.ZodObject).shape);
  const note = schema === undefined ? {} : noteOf(schema);
  const beside = valueAt(tree, path);
  const hinted = new Set<object>();
  for (const key of keys) {
    const entry = key in Object.prototype ? undefined : elsewhereKey(note.keys, key);
    const means = entry === undefined ? nearest(key, known) : entry.means;
    if (means !== undefined && (entry?.covers || valueAt(tree, [...path, means]) === undefined)) {
      const pointer = pointerAt(tree, [...path, means]);
      told.add(pointer);
      // It was written, under another name: nothing follows from its absence.
      tree.lost.add(pointer);
    }
    if (entry === undefined) {
      explainKey(report, path, key, { known, later: note.later ?? [], suggestion: means });
      continue;
    }
    const { hint } = entry;
    if (hint === undefined) {
      const message = `The key ${shown(key)} is not known here. Correct or remove it.`;
      report.error('unknown-key', [...path, key], message, { side: 'key', suggestion: means });
      continue;
    }
    // Two halves of one thing, such as cert: and key:, are one slip.
    if (hinted.has(entry)) continue;
    hinted.add(entry);
    const said = typeof hint === 'string' ? hint : hint(isMapping(beside) ? beside : {}, key);
    report.error('unknown-key', [...path, key], `The key ${shown(key)} is not known here. ${said}`, { side: 'key' });
  }
}

function explainKey(
  report: Report,
  path: Path,
  key: string,
  { known, later, suggestion }: { known: readonly string[]; later: readonly string[]; suggestion: string | undefined },
): void {
  const at = [...path, key];
  if (later.includes(key)) {
    report.error('unsupported', at, `The key ${shown(key)} is not supported yet, and would not be obeyed. Remove it for now.`, {
      side: 'key',
    });
  } else if (key === '<<') {
    report.error('unknown-key', at, 'Merge keys (<<) are not part of YAML 1.2. Write the keys out.', { side: 'key' });
  } else {
    const list = known.length === 0 ? '' : ` Known here: ${known.join(', ')}.`;
    report.error('unknown-key', at, `The key ${shown(key)} is not known here. Correct or remove it.${list}`, { side: 'key', suggestion });
  }
}

/** The schemas that a path may reach, wrappers taken off and branches of unions spread out, outermost first. */
function schemasAt(path: Path): Schema[] {
  let level = unwrap(fileSchema);
  for (const step of path) {
    level = level.flatMap((schema) => {
      const def = (schema as z.core.$ZodTypes)._zod.def;
      if (def.type === 'object') {
        const child = Object.hasOwn(def.shape, step) ? def.shape[step] : undefined;
        return child === undefined ? [] : unwrap(child);
      }
      if (def.type === 'record') return unwrap(def.valueType);
      if (def.type === 'array') return unwrap(def.element);
      return [];
    });
  }
  return level;
}

function unwrap(schema: Schema): Schema[] {
  const def = (schema as z.core.$ZodTypes)._zod.def;
  if (def.type === 'optional' || def.type === 'default' || def.type === 'prefault') return [schema, ...unwrap(def.innerType)];
  if (def.type === 'pipe') return [schema, ...unwrap(def.in)];
  if (def.type === 'union') return [schema, ...def.options.flatMap(unwrap)];
  return [schema];
}

function isNumeric(schema: Schema): boolean {
  return schema._zod.def.type === 'number';
}

/** What is expected at a path, to complete "must be …". */
function expectationAt(path: Path, issue: Issue): string {
  // A number out of range is told its range, also where a text could stand instead.
  const numeric = issue.code === 'too_small' || issue.code === 'too_big';
  const schemas = schemasAt(path).sort((a, b) => (numeric ? Number(isNumeric(b)) - Number(isNumeric(a)) : 0));
  const said = schemas.map((schema): Note => noteOf(schema)).find((note) => note.expects !== undefined)?.expects;
  if (said !== undefined) return said;
  const types = schemas.map((schema) => schema._zod.def.type);
  if (types.includes('object'))
    return `a mapping with ${Object.keys((schemas.find((schema) => schema._zod.def.type === 'object') as z.ZodObject).shape).join(', ')}`;
  if (types.includes('record')) return 'a mapping of names';
  if (types.includes('array')) return 'a list';
  if (types.includes('boolean')) return 'true or false';
  return 'text';
}

function noteFor(issue: Issue, fallback: string): string {
  return issue.code === 'invalid_key' ? 'letters, digits, ".", "_" and "-" only, at most 64 of them' : fallback;
}

/** How to write what was probably meant. */
function hintFor(value: unknown, path: Path, issue: Issue): { hint: string; suggestion?: string | undefined } {
  const schemas = schemasAt(path);
  const types = schemas.map((schema) => schema._zod.def.type);
  if (value === 'pass' && path.at(-1) === 'action') return { hint: ' Only a rule of guardrails: may pass a flow on.' };
  if (issue.code === 'invalid_value' && typeof value === 'string') {
    if (issue.values.some((wanted) => typeof wanted !== 'string' && String(wanted) === value)) return { hint: ' Remove the quotes.' };
    const word = value.toLowerCase();
    const words = schemas.map((schema) => noteOf(schema).elsewhere ?? {}).find((each) => Object.hasOwn(each, word));
    const elsewhere = words?.[word];
    if (elsewhere === undefined) return { hint: '', suggestion: nearest(value, issue.values.map(String)) };
    return { hint: elsewhere.hint === undefined ? '' : ` ${elsewhere.hint}`, suggestion: elsewhere.means };
  }
  if (value === null) return { hint: ' Give it a value, or remove the key.' };
  if (types.includes('array') && /^[A-Za-z0-9._:/*-]{1,60}$/.test(String(value)))
    return { hint: ` Put it in brackets: [${String(value)}].` };
  if (Array.isArray(value) && types.includes('string'))
    return { hint: ' Where an address in brackets was meant, put all of it in quotes.' };
  if (
    typeof value === 'string' &&
    value !== '' &&
    (types.includes('int') || types.includes('number') || types.includes('boolean')) &&
    /^(?:[0-9]+|true|false)$/.test(value)
  ) {
    return { hint: ' Remove the quotes.' };
  }
  if ((typeof value === 'number' || typeof value === 'boolean') && types.includes('literal') && value === false)
    return { hint: ' Write off.', suggestion: 'off' };
  return { hint: '' };
}

function subjectOf(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return 'The file';
  if (typeof last === 'string') return shown(last);
  return `An entry of ${shown(path.findLast((step) => typeof step === 'string'))}`;
}

function described(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (isContainer(value)) return 'a mapping';
  if (typeof value === 'string') return value === '' ? 'empty text' : shown(value);
  return typeof value === 'number' ? `the number ${value}` : String(value);
}

function withValue(message: string, value: unknown): string {
  return `${message}, not ${described(value)}.${value === 'off' ? ' This cannot be switched off.' : ''}`;
}
