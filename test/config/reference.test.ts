/** The reference of the file comes from the schemas that read it. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Place, placesOf } from '../../config/reference.ts';
import { referencePage } from '../../config/reference-page.ts';
import { jsonSchema } from '../../config/schema.ts';

const committed = readFileSync(new URL('../../config/REFERENCE.md', import.meta.url), 'utf8');
const places = placesOf();
const keys = places.flatMap((place) => place.keys.map((key) => [`${place.path}.${key.name}`.replace(/^\./, ''), key] as const));

/** The paths of all keys by the JSON Schema, which zod makes by itself. */
function keysOfSchema(node: unknown, path: string, found: Set<string>): Set<string> {
  if (typeof node !== 'object' || node === null) return found;
  const { properties, items, additionalProperties, anyOf } = node as Record<string, unknown>;
  for (const [name, child] of Object.entries(properties ?? {})) {
    const at = path === '' ? name : `${path}.${name}`;
    found.add(at);
    keysOfSchema(child, at, found);
  }
  keysOfSchema(items, `${path}[]`, found);
  keysOfSchema(additionalProperties, `${path}.NAME`, found);
  for (const option of (anyOf as unknown[] | undefined) ?? []) keysOfSchema(option, path, found);
  return found;
}

function key(path: string): Place['keys'][number] {
  return keys.find(([at]) => at === path)![1];
}

describe('the reference', () => {
  it('in the tree is what the code says (npm run schema renews it)', () => {
    expect(committed).toBe(`${referencePage().trimEnd()}\n`);
  });

  it('has every key that the JSON Schema has, and no other', () => {
    expect(keys.map(([path]) => path).sort()).toEqual([...keysOfSchema(jsonSchema(), '', new Set())].sort());
    expect(keys.length).toBeGreaterThan(200);
  });

  it('says of each key its type, what it means, and an example or where its keys are', () => {
    const silent = keys.filter(
      ([, { about, type, example, places }]) => about === '' || type === '' || (example === null && places.length === 0),
    );
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  it('gives examples that the file may hold', () => {
    const wrong = keys.flatMap(([path, { example, schema }]) =>
      // A hash is left out where it would hide the rest.
      example === null || example.includes('…') || schema.safeParse(parse(example)).success ? [] : [`${path}: ${example}`],
    );
    expect(wrong).toEqual([]);
  });

  it('links to headings that are there', () => {
    const anchors = new Set(
      [...committed.matchAll(/^## (.*)$/gm)].map(([, title]) =>
        title!
          .toLowerCase()
          .replace(/[^a-z0-9_ -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const dead = [...committed.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor]) => anchor!).filter((anchor) => !anchors.has(anchor));
    expect(dead).toEqual([]);
  });

  it.each([
    ['pools.NAME.health.interval', 'duration', '10ms to 365d', '2s', false],
    ['pools.NAME.health.type', 'one of `tcp`, `http`', null, null, true],
    ['process.journal.size', 'size', '1MiB to 1024GiB', '256MiB', false],
    ['process.state', 'folder or `off`', null, './state', false],
    ['process.workers', '`auto` or whole number', '1 to 256', 'auto', false],
    ['pools.NAME.retries.budget', 'percentage', '0% to 100%', '20%', false],
    ['applications.NAME.tls.minimum', 'one of `1.2`, `1.3`', null, '"1.2"', false],
    ['applications.NAME.rules[].limits.per', 'one of `source`, `segment`, `all`', null, 'source', false],
    ['applications.NAME.rules[].identities', 'list of identity', '1 to 1024 entries', null, false],
  ])('tells %s: %s, %s, default %s', (path, type, bounds, fallback, isRequired) => {
    expect(key(path)).toMatchObject({ type, bounds, fallback, isRequired });
  });

  it('tells a repeated mapping once, and what is different where it comes again', () => {
    const section = (path: string) => committed.split('\n## ').find((text) => text.startsWith(`\`${path}\`\n`));
    expect(section('guardrails[]')).toMatch(
      /The keys of \[`applications\.NAME\.rules\[\]`\]\(#[^)]*\), but:\n\n- \*\*`action`\*\*[^\n]*`pass`[^\n]*\n$/,
    );
    expect(section('baseline[]')).toMatch(/The keys of \[`applications\.NAME\.rules\[\]`\]\(#[^)]*\)\.\n/);
    expect(section('guardrails[].http')).toBeUndefined();
  });
});
