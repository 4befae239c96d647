import { expect, it } from 'vitest';
import { stringify } from 'yaml';
import { formatPrefix } from '../../config/address.ts';
import type { Document, Rule, SourceTerm } from '../../config/document.ts';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { protocolNames } from '../../config/protocols.ts';
import { diffDocuments } from '../../policy/diff.ts';
import { normalised } from '../../policy/print.ts';
import { randomDocument, randomFrom } from './randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);

function parsed(text: string): Document {
  const result = parseDocument([{ file: 'printed.yaml', text }], {});
  if (!result.ok) throw new Error(`${result.problems.map(formatProblem).join('\n')}\n${text}`);
  return result.document;
}

function term(one: SourceTerm): string {
  return one.kind === 'any' ? 'any' : one.kind === 'prefix' ? one.prefix.text : one.name;
}

/** A file that says what a random document does; what a file cannot say in that place is left out. */
function fileOf(document: Document): object {
  const rule = (one: Rule, index: number, mode: 'http' | 'tcp' | null) => ({
    name: `rule-${index}`,
    from: one.from.map(term),
    ...(one.except.length === 0 ? {} : { except: one.except.map(term) }),
    ...(one.ports === null ? {} : { ports: one.ports.map(([first, last]) => `${Math.max(1, first)}-${last}`) }),
    ...(one.protocols === null || mode === 'http' ? {} : { protocols: protocolNames(one.protocols) }),
    ...(one.http === null
      ? {}
      : {
          http: {
            ...(one.http.methods === null ? {} : { methods: one.http.methods }),
            ...(one.http.paths === null ? {} : { paths: one.http.paths }),
          },
        }),
    action: one.action,
  });
  const list = (rules: readonly Rule[], mode: 'http' | 'tcp' | null) => {
    const conditional = ({ http }: Rule) => http !== null && http.methods === null && http.paths === null;
    return rules.filter((one) => !conditional(one)).map((one, i) => rule(one, i, mode));
  };
  return {
    version: 1,
    networks: {
      inbound: ['0.0.0.0/0', '::/0'],
      outbound: ['0.0.0.0/0', '::/0'],
      cluster: document.networks.cluster.map(({ text }) => text),
    },
    segments: Object.fromEntries(
      document.segments.map(({ name, addresses, segments, except }) => [
        name,
        { addresses: addresses.map(({ text }) => text), segments, ...(except.length === 0 ? {} : { except: except.map(term) }) },
      ]),
    ),
    pools: Object.fromEntries(
      document.pools.map(({ name, servers }) => [name, { servers: [...new Set(servers.map(({ endpoint }) => endpoint.text))] }]),
    ),
    applications: Object.fromEntries(
      document.applications.map(({ name, vips, mode, rules }) => [
        name,
        { vips: [...new Set(vips.map(({ endpoint }) => endpoint.text))], mode, pool: 'servers', rules: list(rules, mode) },
      ]),
    ),
    guardrails: list(document.guardrails, null),
    baseline: list(document.baseline, null),
  };
}

it(`prints what parses to the same meaning, and prints that the same (seed ${SEED})`, { timeout: 60_000 }, () => {
  const random = randomFrom(SEED);
  let rules = 0;
  for (let number = 0; number < 60; number++) {
    const original = parsed(stringify(fileOf(randomDocument(random)), { aliasDuplicateObjects: false }));
    const text = stringify(normalised(original.source), { aliasDuplicateObjects: false });
    const again = parsed(text);
    const why = `seed ${SEED}, document ${number}\n${text}`;
    expect(diffDocuments(original, again, { rules: true }), why).toMatchObject({ differs: false, groups: [] });
    expect(stringify(normalised(again.source), { aliasDuplicateObjects: false }), why).toBe(text);
    rules += original.applications.reduce((sum, application) => sum + application.rules.length, 0);
  }
  expect(rules).toBeGreaterThan(100);
});

it('writes prefixes once, canonical, ascending and the widest only', () => {
  const source = {
    segments: { s: { addresses: ['10.1.0.0/16', '::ffff:10.0.0.1', '10.0.0.9/8', '2001:DB8::/32', '9.0.0.1'] } },
    version: 1,
  };
  expect(normalised(source)).toEqual({ version: 1, segments: { s: { addresses: ['9.0.0.1/32', '10.0.0.0/8', '2001:db8::/32'] } } });
  expect(Object.keys(normalised(source) as object)).toEqual(['version', 'segments']);
});

it('keeps names, order of rules, and what it does not understand', () => {
  const source = {
    guardrails: [
      { name: 'b', from: ['office', '10.0.0.1', 'any'] },
      { name: 'a', from: ['web', '10.0.0.1', '10.0.0.0/30'] },
    ],
    later: { x: [3, 1] },
  };
  expect(normalised(source)).toEqual({
    guardrails: [
      { name: 'b', from: ['any'] },
      { name: 'a', from: ['web', '10.0.0.0/30'] },
    ],
    later: { x: [3, 1] },
  });
});

it('agrees with the parser about canonical text', () => {
  expect(formatPrefix(parsed('version: 1\nsegments: { s: { addresses: ["::ffff:10.0.0.0/104"] } }\n').segments[0]!.addresses[0]!)).toBe(
    '10.0.0.0/8',
  );
});
