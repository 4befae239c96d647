// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the variables of the file under test.
/** The quick reader against the yaml package: whatever it does not decline, both read to the same tree with the same places. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writtenScene } from '../../bench/policy/written.ts';
import { SourceText } from '../../config/origins.ts';
import { readPlainYaml } from '../../config/plain-yaml.ts';
import { isContainer, type Tree } from '../../config/tree.ts';
import { readAnyYaml } from '../../config/yaml.ts';

const EXAMPLE = readFileSync(new URL('../../config/bulkhead.yaml', import.meta.url), 'utf8');
const ENVIRONMENT = { A: '10.0.0.1', N: '2', EMPTY: '' };

/** Every value with its key's and its own place, in the order of the text. */
function flattened(tree: Tree): unknown[] {
  const lines: unknown[] = [[tree.root.key, tree.root.at, Array.isArray(tree.data)]];
  const visit = (value: unknown) => {
    if (!isContainer(value)) return;
    const children = tree.origins.get(value)!;
    for (const [step, child] of Object.entries(value)) {
      const { key, at, step: written, source } = children.get(step)!;
      const what = isContainer(child) ? (Array.isArray(child) ? 'list' : 'mapping') : child;
      lines.push([String(written), key, at, source.place(key), source.place(at), what]);
      visit(child);
    }
  };
  visit(tree.data);
  return lines;
}

/** Returns whether the quick reader took the text. */
function agree(text: string): boolean {
  const plain = readPlainYaml(new SourceText('x.yaml', text), text, ENVIRONMENT);
  if (plain === null) return false;
  const any = readAnyYaml('x.yaml', text, ENVIRONMENT, { aliased: 0 });
  expect(any.problems).toEqual([]);
  expect(flattened(plain)).toEqual(flattened(any.tree!));
  return true;
}

describe('reads without the yaml package', () => {
  it.each<[string, string]>([
    ['the example', EXAMPLE],
    ['a large file', writtenScene({ prefixes: 200, rules: 30, applications: 5, guardrails: 2 })],
    ['a large file of requests', writtenScene({ prefixes: 20, rules: 30, applications: 5, http: true })],
    ['JSON', JSON.stringify({ version: 1, a: [1, { b: 'x"\\\n\u20ac' }, [], {}], 'c d': [true, null, -1.5e3] })],
    ['JSON in lines', JSON.stringify({ version: 1, a: [1, { b: ['x', []] }], c: {} }, null, 2)],
    ['a list as far out as its key', 'a:\n- b\n- c: 1\n  d: 2\ne: 3\n'],
    ['mappings and lists in lists', 'a:\n  -   b: 1\n      c:\n        - d\n  -\n    e: 2\n'],
    ['comments', '# one\na: 1 # two\n  # three\nb: # four\n  - c # five\n# six\n  - d\n'],
    ['brackets over lines', 'a: [ b, # c\n  d,\n\n  # e\n  f ]\n'],
    ['IPv6', 'a:\n  - 2001:db8::1\n  - ::1/128\nb: [2001:db8::1, ::1]\n'],
    ['scalars', 'a: [0, -1, +2, 0x1f, 0o17, 1.5, .5, 1e3, true, Null, 007, 1.2.3.4, 10.0.0.0/8, 1:2, a b, a#b]\n'],
    ['quotes', `a: ["x", 'it''s', "", '', "a\\u0041\\n", '# no: comment']\n"b": 1\n'c': 2\n`],
    ['variables', 'a: ${A}\nb: "${N}"\nc: ${N}\nd: ["${NONE:-x}", "$${A}"]\n'],
    ['no newline at the end', 'a: b'],
    ['names that read as something else', 'null: 1\n007: 2\ntrue: 3\n80: 4\n'],
  ])('%s', (_, text) => expect(agree(text)).toBe(true));
});

describe('leaves to the yaml package', () => {
  it.each<[string, string]>([
    ['nothing', ''],
    ['only a comment', '# x\n'],
    ['a list as the whole', '- a\n'],
    ['a value as the whole', 'a\n'],
    ['anchors', 'a: &x 1\n'],
    ['aliases', 'a: &x 1\nb: *x\n'],
    ['tags', 'a: !!str 1\n'],
    ['block text', 'a: |\n  b\n'],
    ['folded text', 'a: >\n  b\n'],
    ['a value below its key', 'a:\n  b\n'],
    ['values over lines', 'a: b\n  c\n'],
    ['quotes over lines', 'a: "b\n  c"\n'],
    ['empty values', 'a:\nb: 1\n'],
    ['doubled keys', 'a: 1\na: 2\n'],
    ['doubled keys in brackets', 'a: { b: 1, b: 2 }\n'],
    ['__proto__', '__proto__: 1\n'],
    ['merge keys', '<<: {}\n'],
    ['key marks', '? a\n: b\n'],
    ['tabs', 'a:\t1\n'],
    ['carriage returns', 'a: 1\r\nb: 2\r\n'],
    ['document marks', '---\na: 1\n'],
    ['a second document', 'a: 1\n---\nb: 1\n'],
    ['an end of the document', 'a: 1\n...\n'],
    ['directives', '%YAML 1.1\n---\na: 1\n'],
    ['a byte order mark', '\ufeffa: 1\n'],
    ['numbers too long to be exact', 'a: 123456789012345678901\n'],
    ['infinity', 'a: .inf\n'],
    ['an address in brackets', 'a: [ [::1]:80 ]\n'],
    ['variables in brackets', 'a: [ ${A} ]\n'],
    ['unset variables', 'a: ${NOT_SET}\n'],
    ['a bracket too few', 'a: [b\n'],
    ['a bracket too many', 'a: [b]]\n'],
    ['a comma too many', 'a: [b,,c]\n'],
    ['brackets closed too far out', 'a:\n  b: [c\n  ]\n'],
    ['odd indentation', 'a:\n  b: 1\n c: 2\n'],
    ['too deep brackets', `a: ${'['.repeat(40)}${']'.repeat(40)}\n`],
    ['very deep brackets', `a: ${'['.repeat(50_000)}`],
    ['a mapping behind a key', 'a: b: c\n'],
    ['a list behind a key', 'a: - b\n'],
    ['text behind quotes', 'a: "b" c\n'],
    ['text behind brackets', 'a: [b] c\n'],
  ])('%s', (_, text) => expect(agree(text)).toBe(false));
});

/** Texts of YAML's own characters: every confusion of signs that fits. */
const soup = (unit: readonly string[], maxLength: number) => fc.string({ unit: fc.constantFrom(...unit), maxLength });
const SIGNS = [
  'a',
  'b',
  '1',
  ' ',
  ' ',
  '\n',
  '\n',
  ':',
  ': ',
  '- ',
  '-',
  ',',
  '[',
  ']',
  '{',
  '}',
  '"',
  "'",
  '#',
  ' #',
  '.',
  '/',
  '0',
  '\\',
];
const WORDS = [
  'a: ',
  'b:',
  '\n',
  '\n  ',
  '\n    ',
  '- ',
  '\n- ',
  '\n  - ',
  'x',
  '1.5',
  '[',
  ']',
  '{',
  '}',
  ', ',
  ',',
  ' # c',
  '"q"',
  "'q'",
  '::1',
  '::',
];

/** Data written out in one of the many ways in which it can be: mostly such as are read quickly. */
const scalar = fc.constantFrom(
  '10.0.0.0/8',
  'x',
  'a b',
  '"q: [#"',
  "'it''s'",
  '7',
  '007',
  '-1.5',
  'true',
  'null',
  '"${A}"',
  '${N}',
  '::1',
  '2001:db8::/32',
  '/a/*',
  '"a\\tb"',
  'a:b',
  '1e3',
  '+1',
  '""',
);
const flowScalar = scalar.filter((text) => !text.startsWith('$'));
const name = fc.constantFrom('a', 'b', 'c-d', 'e.f', '1', '"q r"', "'s'", 'g_h', 'x/y');
const gap = fc.constantFrom('', '', '', ' ', '  ', ' # note\n', '\n', '\n\n', '# note\n');

/** `indent` is the column of what contains it. */
type Text = (indent: number) => string;

const { value } = fc.letrec<{ value: Text; flow: Text }>((tie) => ({
  flow: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    flowScalar.map(
      (text): Text =>
        () =>
          text,
    ),
    fc.tuple(fc.array(fc.tuple(tie('flow'), gap, gap), { maxLength: 3 }), fc.boolean()).map(
      ([items, comma]): Text =>
        (indent) => {
          const inner = items.map(([item, before, after]) => `${broken(before, indent)}${item(indent)}${broken(after, indent)}`);
          return `[${inner.join(',')}${comma && items.length > 0 ? ', ' : ''}]`;
        },
    ),
    fc.uniqueArray(fc.tuple(name, tie('flow'), gap), { maxLength: 3, selector: ([key]) => key }).map(
      (items): Text =>
        (indent) => {
          return `{ ${items.map(([key, item, after]) => `${key}: ${item(indent)}${broken(after, indent)}`).join(', ')} }`;
        },
    ),
  ),
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.tuple(scalar, gap).map(
      ([text]): Text =>
        () =>
          ` ${text}\n`,
    ),
    tie('flow').map(
      (flow): Text =>
        (indent) =>
          ` ${flow(indent)} # end\n`,
    ),
    fc
      .tuple(
        fc.uniqueArray(fc.tuple(name, tie('value')), { minLength: 1, maxLength: 3, selector: ([key]) => key }),
        fc.integer({ min: 1, max: 4 }),
      )
      .map(
        ([items, step]): Text =>
          (indent) => {
            return `\n${items.map(([key, item]) => `${' '.repeat(indent + step)}${key}:${item(indent + step)}`).join('\n')}`;
          },
      ),
    fc.tuple(fc.array(tie('value'), { minLength: 1, maxLength: 3 }), fc.integer({ min: 0, max: 3 })).map(
      ([items, step]): Text =>
        (indent) => {
          return `\n${items.map((item) => `${' '.repeat(indent + step)}-${item(indent + step)}`).join('')}`;
        },
    ),
    fc.tuple(tie('value'), tie('value')).map(
      ([one, two]): Text =>
        (indent) =>
          `\n${' '.repeat(indent)}- a:${one(indent + 2)}${' '.repeat(indent + 2)}b:${two(indent + 2)}`,
    ),
  ),
}));

/** A gap as it may stand between brackets: a comment begins behind a blank, and lines stand further in. */
function broken(gap: string, indent: number): string {
  return gap.includes('\n') ? `${gap.startsWith('#') ? ' ' : ''}${gap}${' '.repeat(indent + 2)}` : gap;
}

const document = fc
  .uniqueArray(fc.tuple(name, value), { minLength: 1, maxLength: 4, selector: ([key]) => key })
  .map((items) => items.map(([key, item]) => `${key}:${item(0)}`).join(''));

const edit = fc.record({ at: fc.nat(), length: fc.nat(6), what: fc.oneof(soup(SIGNS, 4), soup(WORDS, 2), fc.string({ maxLength: 3 })) });

function edited(text: string, edits: readonly { at: number; length: number; what: string }[]): string {
  return edits.reduce((was, { at, length, what }) => {
    const from = at % (was.length + 1);
    return was.slice(0, from) + what + was.slice(from + length);
  }, text);
}

/** More of them for a search by hand. */
const ROUNDS = Number(process.env.PLAIN_YAML_ROUNDS ?? 1);

describe('reads as the yaml package does', () => {
  it('documents in many spellings, most of which it takes', () => {
    let taken = 0;
    let all = 0;
    fc.assert(
      fc.property(document, (text) => {
        all++;
        if (agree(text)) taken++;
      }),
      { numRuns: 500 * ROUNDS },
    );
    expect(taken / all).toBeGreaterThan(0.5);
  });

  it('documents with a slip in them', () => {
    fc.assert(
      fc.property(document, fc.array(edit, { minLength: 1, maxLength: 2 }), (text, edits) => void agree(edited(text, edits))),
      { numRuns: 1_000 * ROUNDS },
    );
  });

  it('the example with slips in it', () => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 2 }), (edits) => void agree(edited(EXAMPLE, edits))),
      { numRuns: 60 * ROUNDS },
    );
  });

  it.each([
    ['signs', soup(SIGNS, 16)],
    ['words', soup(WORDS, 14)],
    ['a mapping of words', soup(WORDS, 10).map((text) => `a: ${text}\nb: 1\n`)],
    ['brackets of signs', soup(SIGNS, 10).map((text) => `a: [${text}]\n`)],
    ['braces of signs', soup(SIGNS, 10).map((text) => `a: {b: ${text}}\n`)],
    ['lines of signs', soup(SIGNS, 10).map((text) => `a:\n  - b\n${text}\n`)],
  ])('texts of %s', (_, texts) => {
    fc.assert(
      fc.property(texts, (text) => void agree(text)),
      { numRuns: 1_500 * ROUNDS },
    );
  });
});
