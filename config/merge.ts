/** Several files, one document: keyed sections are merged by key, lists of tests are joined, everything else is said once. */
import type { Problem } from './document.ts';
import { Children, type Origin } from './origins.ts';
import { formatPlace, pointerStep, shown } from './problem.ts';
import type { Tree } from './tree.ts';
import { isMapping } from './tree.ts';

/** Sections whose keys may come from several files. */
const KEYED_SECTIONS: ReadonlySet<string> = new Set(['process', 'networks', 'segments', 'pools', 'applications']);

/** Merges trees in the order given. A root that is not a mapping is a problem of its own and is left out. */
export function mergeTrees(trees: readonly Tree[], problems: Problem[]): Tree | null {
  const usable = trees.filter((tree) => {
    if (tree.data === null || isMapping(tree.data)) return tree.data !== null;
    problems.push({
      code: 'wrong-type',
      severity: 'error',
      path: '',
      place: tree.root.source.place(tree.root.at),
      message:
        'A file begins with keys such as version:, pools: and applications:, each at the start of a line, not with a list or a single value.',
    });
    return false;
  });
  if (usable.length <= 1) return usable[0] ?? null;
  return new Merger(usable, problems).merge();
}

class Merger {
  readonly #trees: readonly Tree[];
  readonly #problems: Problem[];
  readonly #origins = new Map<object, Children>();

  constructor(trees: readonly Tree[], problems: Problem[]) {
    this.#trees = trees;
    this.#problems = problems;
  }

  merge(): Tree {
    const data: Record<string, unknown> = {};
    const origins = new Children(this.#trees[0]!.root.source, false);
    const lost = new Set<string>();
    for (const tree of this.#trees) {
      for (const [container, children] of tree.origins) this.#origins.set(container, children);
      for (const pointer of tree.lost) lost.add(pointer);
    }
    for (const tree of this.#trees) {
      const children = tree.origins.get(tree.data as object)!;
      for (const [key, value] of Object.entries(tree.data as object)) {
        const origin = children.get(key)!;
        const earlier = origins.get(key);
        if (earlier === undefined) {
          data[key] = value;
          origins.addOrigin(key, origin);
        } else data[key] = this.#join(key, data[key], earlier, value, origin);
      }
    }
    this.#origins.set(data, origins);
    return { data, root: this.#trees[0]!.root, origins: this.#origins, lost };
  }

  #join(key: string, first: unknown, firstOrigin: Origin, second: unknown, secondOrigin: Origin): unknown {
    if (KEYED_SECTIONS.has(key) && isMapping(first) && isMapping(second)) return this.#joinMappings(key, first, second);
    if (key === 'tests' && Array.isArray(first) && Array.isArray(second)) {
      const joined = [...first, ...second];
      const origins = new Children(firstOrigin.source, true);
      for (const list of [first, second]) {
        const children = this.#origins.get(list)!;
        for (const index of list.keys()) origins.addOrigin(null, { ...children.get(index)!, step: origins.size });
      }
      this.#origins.set(joined, origins);
      return joined;
    }
    if (key === 'version' && first === second) return first;
    this.#duplicate([key], firstOrigin, secondOrigin);
    return first;
  }

  #joinMappings(section: string, first: Record<string, unknown>, second: Record<string, unknown>): Record<string, unknown> {
    const joined = { ...first };
    const children = this.#origins.get(first)!;
    const others = this.#origins.get(second)!;
    const origins = new Children(children.source, false);
    for (const name of children.names()) origins.addOrigin(name, children.get(name)!);
    for (const name of others.names()) {
      const origin = others.get(name)!;
      const earlier = origins.get(name);
      if (earlier !== undefined) this.#duplicate([section, name], earlier, origin);
      else {
        joined[name] = second[name];
        origins.addOrigin(name, origin);
      }
    }
    this.#origins.set(joined, origins);
    return joined;
  }

  #duplicate(path: readonly string[], first: Origin, second: Origin): void {
    const key = path.at(-1)!;
    const where = formatPlace(first.source.place(first.key));
    const message =
      key === 'version'
        ? `This version differs from the one at ${where}. Write the same version in every file.`
        : `The key ${shown(key)} is already at ${where}. Remove one of the two, or merge them${path.length === 1 ? ' into one file' : ''}.`;
    this.#problems.push({
      code: 'duplicate-key',
      severity: 'error',
      path: path.map(pointerStep).join(''),
      place: second.source.place(second.key),
      message,
    });
  }
}
