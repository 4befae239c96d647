import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './sources.ts';

const TOP_LEVEL = new Set([
  'config',
  'policy',
  'proxy',
  'test',
  'bench',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'README.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'LICENSE',
]);
/** Made by running, and kept out of version control. */
const GENERATED = new Set(['node_modules', 'state']);
const EXACT_VERSION = /^(?:npm:@?[\w./-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/;

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

function inexact(manifest: Manifest): string[] {
  const all = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  return Object.entries(all).flatMap(([name, version]) => (EXACT_VERSION.test(version) ? [] : [`${name}: ${version}`]));
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Manifest;
}

describe('the tree', () => {
  it('has nothing at its top level but what belongs there', () => {
    const visible = readdirSync(ROOT).filter((name) => !name.startsWith('.') && !GENERATED.has(name));
    expect(visible.filter((name) => !TOP_LEVEL.has(name))).toEqual([]);
  });

  it.each(['package.json', 'proxy/runtime/package.json'])('pins every version in %s', (path) => {
    expect(inexact(readManifest(path))).toEqual([]);
  });

  it.each([
    ['1.2.3', true],
    ['npm:@scope/name@0.1.2', true],
    ['2.0.0-beta.1', true],
    ['^1.2.3', false],
    ['~1.2.3', false],
    ['1.x', false],
    ['latest', false],
    ['*', false],
  ])('judges the version %s', (version, exact) => {
    expect(inexact({ dependencies: { it: version } }).length === 0).toBe(exact);
  });

  it('has a lockfile that names no registry', () => {
    const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as { packages: Record<string, { resolved?: string }> };
    const hosts = Object.entries(lock.packages).filter(([, entry]) => entry.resolved?.includes('://'));
    expect(hosts.map(([name]) => name)).toEqual([]);
  });

  it('has scripts of the shell that can be run and that parse', () => {
    for (const path of ['.ci/run', 'proxy/runtime/bulkhead.sh', 'proxy/runtime/node.sh']) {
      expect(statSync(join(ROOT, path)).mode & 0o111, `${path} is executable`).not.toBe(0);
      execFileSync(path === '.ci/run' ? 'bash' : 'sh', ['-n', join(ROOT, path)]);
    }
  });
});
