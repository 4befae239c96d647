/** Plain data with the place of every value: what stands between the text and the schema. */
import type { Place, Problem } from './document.ts';
import { Children, type Origin } from './origins.ts';
import { pointerStep } from './problem.ts';

export type Container = Record<string, unknown> | unknown[];
export type Path = readonly (string | number)[];

export interface Tree {
  readonly data: unknown;
  readonly root: Origin;
  /** Where each container's children stand. */
  readonly origins: Map<object, Children>;
  /** Pointers of what was written but could not be kept, and of the containers it was taken from: no absence follows from them. */
  readonly lost: Set<string>;
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

/** The value at a path, undefined where there is none. */
export function valueAt(tree: Tree, path: Path): unknown {
  let value = tree.data;
  for (const step of path) {
    if (!isContainer(value) || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

/** The origin of a path's end, or of its last step that exists. */
export function originAt(tree: Tree, path: Path): Origin {
  let origin = tree.root;
  let value = tree.data;
  for (const step of path) {
    const child = isContainer(value) ? tree.origins.get(value)?.get(step) : undefined;
    if (child === undefined) return origin;
    origin = child;
    value = (value as Record<string | number, unknown>)[step];
  }
  return origin;
}

/** The place of a path's value, or of its key. */
export function placeAt(tree: Tree, path: Path, side: 'key' | 'value'): Place {
  const origin = originAt(tree, path);
  return origin.source.place(side === 'key' ? origin.key : origin.at);
}

/** The JSON pointer (RFC 6901) of a path, in the numbers of the text. */
export function pointerAt(tree: Tree, path: Path): string {
  let pointer = '';
  let value = tree.data;
  for (const step of path) {
    const child = isContainer(value) ? tree.origins.get(value)?.get(step) : undefined;
    pointer += pointerStep(child?.step ?? step);
    value = child === undefined ? undefined : (value as Record<string | number, unknown>)[step];
  }
  return pointer;
}

/** One change of a tree: the path goes, or gets a value where it had none. */
export interface Edit {
  readonly path: Path;
  readonly value?: unknown;
}

/** The same tree with edits. Containers on the way are new, the rest is shared; a path that goes takes all below it along. */
export function edited(tree: Tree, edits: readonly Edit[]): Tree {
  const root: Edits = new Map();
  for (const edit of edits) {
    let level = root;
    for (const [depth, step] of edit.path.entries()) {
      const key = String(step);
      if (depth === edit.path.length - 1) {
        level.set(key, edit);
        break;
      }
      const next = level.get(key);
      if (next !== undefined && !(next instanceof Map)) break;
      const deeper: Edits = next ?? new Map();
      level.set(key, deeper);
      level = deeper;
    }
  }
  return { ...tree, data: editedValue(tree, tree.data, root) };
}

type Edits = Map<string, Edits | Edit>;

function editedValue(tree: Tree, value: unknown, edits: Edits): unknown {
  if (!isContainer(value)) return value;
  const children = tree.origins.get(value);
  const child = (key: string, was: unknown) => {
    const edit = edits.get(key);
    return edit instanceof Map ? editedValue(tree, was, edit) : was;
  };
  const stays = (key: string) => {
    const edit = edits.get(key);
    return edit === undefined || edit instanceof Map;
  };
  if (Array.isArray(value)) {
    const kept = [...value.keys()].filter((index) => stays(String(index)));
    const list = kept.map((index) => child(String(index), value[index]));
    if (children !== undefined) {
      const stayed = new Children(children.source, true);
      for (const index of kept) stayed.addOrigin(null, children.get(index)!);
      tree.origins.set(list, stayed);
    }
    return list;
  }
  const entries = Object.entries(value)
    .filter(([key]) => stays(key))
    .map(([key, was]) => [key, child(key, was)]);
  for (const [key, edit] of edits) if (!(edit instanceof Map) && edit.value !== undefined) entries.push([key, edit.value]);
  const mapping = Object.fromEntries(entries);
  if (children !== undefined) tree.origins.set(mapping, children);
  return mapping;
}

/** Collects problems at paths of one tree. */
export class Report {
  readonly problems: Problem[];
  readonly tree: Tree;

  constructor(tree: Tree, problems: Problem[]) {
    this.tree = tree;
    this.problems = problems;
  }

  error(code: string, path: Path, message: string, more: { side?: 'key' | 'value'; suggestion?: string | undefined } = {}): void {
    this.#add('error', code, path, message, more);
  }

  warning(code: string, path: Path, message: string, more: { side?: 'key' | 'value'; suggestion?: string | undefined } = {}): void {
    this.#add('warning', code, path, message, more);
  }

  place(path: Path, side: 'key' | 'value' = 'value'): Place {
    return placeAt(this.tree, path, side);
  }

  /** Whether what stands at a path was not written so: nothing follows from its value or absence. */
  isLost(path: Path): boolean {
    return this.tree.lost.size > 0 && this.tree.lost.has(pointerAt(this.tree, path));
  }

  #add(
    severity: 'error' | 'warning',
    code: string,
    path: Path,
    message: string,
    more: { side?: 'key' | 'value'; suggestion?: string | undefined },
  ): void {
    const place = placeAt(this.tree, path, more.side ?? 'value');
    const suggestion = more.suggestion === undefined ? {} : { suggestion: more.suggestion };
    this.problems.push({ code, severity, path: pointerAt(this.tree, path), place, message, ...suggestion });
  }
}
