// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the variables of the file under test.
/** The JSON Schema comes from the schemas that validate, and agrees with them. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { loadDocument } from '../../config/load.ts';
import { jsonSchema } from '../../config/schema.ts';

const at = (name: string) => new URL(`../../config/${name}`, import.meta.url);
const committed: unknown = JSON.parse(readFileSync(at('bulkhead.schema.json'), 'utf8'));

describe('the JSON Schema', () => {
  it('in the tree is what the code says (npm run schema renews it)', () => {
    expect(committed).toEqual(JSON.parse(JSON.stringify(jsonSchema())));
  });

  it('is draft 2020-12, and describes every key', () => {
    expect(committed).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema', additionalProperties: false });
    const undescribed: string[] = [];
    const walk = (node: unknown, path: string): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const [name, child] of Object.entries((node as { properties?: object }).properties ?? {})) {
        if (typeof child.description !== 'string') undescribed.push(`${path}/${name}`);
      }
      for (const [key, child] of Object.entries(node)) walk(child, `${path}/${key}`);
    };
    walk(committed, '');
    expect(undescribed).toEqual([]);
  });

  it.each([
    ['the example', parse(readFileSync(at('bulkhead.yaml'), 'utf8')), true],
    ['a variable for a number', { version: 1, process: { workers: '${N}' } }, true],
    ['a number out of range', { version: 1, process: { workers: 0 } }, false],
    ['an unknown key', { version: 1, proces: {} }, false],
    ['a duration without unit', { version: 1, pools: { p: { servers: [], idle: { timeout: '5' } } } }, false],
    ['no version', {}, false],
  ])('judges %s', (_, data, right) => {
    const schema = z.fromJSONSchema(committed as Parameters<typeof z.fromJSONSchema>[0]);
    expect(schema.safeParse(data).success).toBe(right);
  });
});

describe('the example file', () => {
  it('loads without a warning, and every port in it is below the ephemeral ones', () => {
    const result = loadDocument(at('bulkhead.yaml').pathname, {});
    expect(result).toMatchObject({ ok: true, warnings: [] });
    const ports = [...readFileSync(at('bulkhead.yaml'), 'utf8').matchAll(/\d\.\d:(\d+)/g)].map((match) => Number(match[1]));
    expect(ports.length).toBeGreaterThan(5);
    expect(Math.max(...ports)).toBeLessThan(32_768);
  });
});
