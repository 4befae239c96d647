import { describe, expect, it } from 'vitest';
import { readSource, readSources, type Source } from './sources.ts';

/** What each folder may import, itself included. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  config: ['config'],
  policy: ['policy', 'config'],
  proxy: ['proxy', 'policy', 'config'],
  test: ['test', 'proxy', 'policy', 'config', 'bench'],
  bench: ['bench', 'proxy', 'policy', 'config', 'test'],
};

const SOURCES = readSources();

function folderOf(path: string): string {
  return path.slice(0, path.indexOf('/'));
}

/** Imports that run against the direction, as `from -> to`. */
function wrongWay(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => {
    const allowed = MAY_IMPORT[folderOf(source.path)] ?? [];
    return source.imports.filter((target) => !allowed.includes(folderOf(target))).map((target) => `${source.path} -> ${target}`);
  });
}

/** Circles among the imports, each as the files that it passes through, first file repeated at its end. */
function circles(sources: readonly Source[]): string[] {
  const importsOf = new Map(sources.map((source) => [source.path, source.imports]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      found.push([...trail.slice(start), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const target of importsOf.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const source of sources) visit(source.path, []);
  return found;
}

describe('imports', () => {
  it('run one way: config, policy, proxy', () => {
    expect(wrongWay(SOURCES)).toEqual([]);
  });

  it('have no circles', () => {
    expect(circles(SOURCES)).toEqual([]);
  });

  it('name files that exist', () => {
    const known = new Set(SOURCES.map((source) => source.path));
    const dangling = SOURCES.flatMap((source) =>
      source.imports.filter((target) => !known.has(target)).map((target) => `${source.path} -> ${target}`),
    );
    expect(dangling).toEqual([]);
  });
});

describe('the scan itself', () => {
  const config = readSource('config/a.ts', "import { decide } from '../policy/decide.ts';\n");
  const left = readSource('proxy/left.ts', "import type { Right } from './wire/right.ts';\n");
  const right = readSource('proxy/wire/right.ts', "const left = await import('../left.ts');\n");

  it('sees an import against the direction', () => {
    expect(wrongWay([config, left, right])).toEqual(['config/a.ts -> policy/decide.ts']);
  });

  it('sees a circle, through types and through lazy imports', () => {
    expect(circles([left, right])).toEqual(['proxy/left.ts -> proxy/wire/right.ts -> proxy/left.ts']);
  });

  it.each([
    ["export { a } from './a.ts';", ['proxy/a.ts']],
    ["import './side.ts';", ['proxy/side.ts']],
    ["new Worker(new URL('./worker/main.ts', import.meta.url))", ['proxy/worker/main.ts']],
    ["import {\n  a,\n  b,\n} from '../config/b.ts';", ['config/b.ts']],
    ["import { readFileSync } from 'node:fs';", []],
  ])('reads %j', (text, imports) => {
    expect(readSource('proxy/x.ts', text).imports).toEqual(imports);
  });
});
