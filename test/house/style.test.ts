import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSource, readSources, type Source } from './sources.ts';

const LINES_MOST = 400;
/** Tables of facts and verdicts are long without being hard to follow. */
const TEST_LINES_MOST = 900;
/** One life cycle each, which would be harder to follow in two files; they may shrink, not grow. */
const LONGER: ReadonlyMap<string, number> = new Map([['proxy/versions/control.ts', 440]]);
const NAMELESS = /^(utils?|helpers?|common|misc|shared|lib|stuff|index|types|constants)(\.test)?\.ts$/;

/** What code never holds, each with what to do instead. */
const BANNED_CODE: readonly (readonly [string, RegExp])[] = [
  ['any: write unknown at the edges and a discriminated union inside', /(?:[:<|&,=]|\bas)\s*any\b(?=\s*(?:[;,)\]>=|&[{]|$))/m],
  ['enum: write a union of literals', /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w/m],
  ['namespace: write a file', /^\s*(?:export\s+)?(?:declare\s+)?namespace\s+\w/m],
  ['export default: write a named export', /^export default\b/m],
  ['export *: import from the file that has it', /^export \*/m],
];

/** Vitest reads its configuration from a default export. */
const DEFAULT_EXPORT_ALLOWED = new Set(['test/vitest.config.ts']);

// Written in two parts, so that this file does not find itself.
const UNFINISHED = new RegExp(`\\b(?:${['TO', 'FIX', 'XX'].map((head, i) => head + ['DO', 'ME', 'X'][i]).join('|')})\\b`);

const SOURCES = readSources();

function banned(source: Source): string[] {
  return BANNED_CODE.filter(([what, pattern]) => {
    if (what.startsWith('export default') && DEFAULT_EXPORT_ALLOWED.has(source.path)) return false;
    return pattern.test(source.code);
  }).map(([what]) => `${source.path}: ${what}`);
}

describe('the sources', () => {
  it(`have at most ${LINES_MOST} lines a file`, () => {
    const long = SOURCES.map((source) => ({ path: source.path, lines: source.text.split('\n').length - 1 }));
    expect(
      long.filter((file) => file.lines > (LONGER.get(file.path) ?? (file.path.startsWith('test/') ? TEST_LINES_MOST : LINES_MOST))),
    ).toEqual([]);
  });

  it('hold no any, enum, namespace, default export or barrel', () => {
    expect(SOURCES.flatMap(banned)).toEqual([]);
  });

  it('leave nothing marked as unfinished', () => {
    expect(SOURCES.filter((source) => UNFINISHED.test(source.text)).map((source) => source.path)).toEqual([]);
  });

  it('are named for what is in them', () => {
    expect(SOURCES.map((source) => source.path).filter((path) => NAMELESS.test(basename(path)))).toEqual([]);
  });

  it('import with the ending that is on disk', () => {
    const bare = /\bfrom '(?:\.{1,2}\/[^']*(?<!\.ts|\.json|\.mjs))'/;
    expect(SOURCES.filter((source) => bare.test(source.text)).map((source) => source.path)).toEqual([]);
  });
});

describe('the scan itself', () => {
  it.each([
    ['let x: any;', true],
    ['function f(x: any) {}', true],
    ['const x = y as any;', true],
    ['const x: Array<any> = [];', true],
    ['const x: any[] = [];', true],
    ['type X = Record<string, any>;', true],
    ['const x: any = 1;', true],
    ['enum Color { red }', true],
    ['export const enum Color { red }', true],
    ['namespace Inner {}', true],
    ['export default {};', true],
    ["export * from './a.ts';", true],
    ["const from = 'any';", false],
    ['// from any, or from: any;', false],
    ['/* x: any; */ const a = 1;', false],
    ['const pattern = /: any;/;', false],
    ['const a = `x: any;`;', false],
    ["const rule = { kind: 'any' };", false],
    ['const ratio = a / b; // any / or', false],
    ['const x = rule.any;', false],
    ['const enumerate = 1;', false],
  ])('judges %j', (text, isBanned) => {
    expect(banned(readSource('proxy/x.ts', text)).length > 0).toBe(isBanned);
  });

  it.each([
    ['utils.ts', true],
    ['helpers.test.ts', true],
    ['common.ts', true],
    ['index.ts', true],
    ['address.ts', false],
    ['common-name.ts', false],
  ])('judges the name %s', (name, isNameless) => {
    expect(NAMELESS.test(name)).toBe(isNameless);
  });
});
