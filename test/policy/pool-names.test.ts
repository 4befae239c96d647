/** Sources by a pool whose servers have names: they follow what is known, and what is not known is its own case. */
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress } from '../../config/address.ts';
import { parseDocument } from '../../config/load.ts';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { NOTHING_KNOWN } from '../../policy/knowledge.ts';
import { serversOf } from '../../policy/pool-servers.ts';
import { question } from './documents.ts';

const addresses = (...texts: string[]) => texts.map((text) => parseAddress(text)!);

function documentOf(rules: string, unknown = 'deny') {
  const text = `
version: 1
networks: { outbound: [10.0.0.0/8, 127.0.0.0/8] }
segments: { peers: { pools: [web], unknown: ${unknown} } }
pools: { web: { servers: [10.0.0.9:80, web.internal:80] } }
applications: { app: { vips: [127.0.0.1:80], mode: tcp, pool: web, rules: [${rules}] } }
`;
  const loaded = parseDocument([{ file: 'test.yaml', text }], {});
  if (!loaded.ok) throw new Error(loaded.problems.map(({ message }) => message).join('\n'));
  return loaded.document;
}

/** The server by address, one that the name has, one that it has outside the lane, and a stranger. */
const SOURCES = ['10.0.0.9', '10.0.0.5', '192.0.2.1', '10.1.1.1'];

function admitted(rules: string, isKnown: boolean, unknown?: string): string {
  const names = isKnown ? new Map([['web.internal', addresses('10.0.0.5', '192.0.2.1')]]) : NOTHING_KNOWN.names;
  const image = compile(documentOf(rules, unknown), { knowledge: { ...NOTHING_KNOWN, names } });
  return SOURCES.filter((source) => explain(image, question(source, '127.0.0.1:80')).verdict === 'allow').join(' ');
}

const allow = (what: string) => `{ name: a, ${what}, action: allow }`;
const deny = (what: string) => `{ name: d, ${what}, action: deny }, { name: a, action: allow }`;

describe('sources by a pool whose servers have names', () => {
  it.each([
    ['allowed by pool', allow('from: [web]'), '10.0.0.9 10.0.0.5', '10.0.0.9'],
    ['allowed by segment', allow('from: [peers]'), '10.0.0.9 10.0.0.5', '10.0.0.9'],
    ['denied by pool', deny('from: [web]'), '192.0.2.1 10.1.1.1', ''],
    ['denied by segment', deny('from: [peers]'), '192.0.2.1 10.1.1.1', ''],
    ['excepted from an allow', allow('from: [any], except: [web]'), '192.0.2.1 10.1.1.1', ''],
    ['excepted from a deny', deny('from: [any], except: [web]'), '10.0.0.9 10.0.0.5', '10.0.0.9'],
    ['beside a prefix', allow('from: [web, 10.1.0.0/16]'), '10.0.0.9 10.0.0.5 10.1.1.1', '10.0.0.9 10.1.1.1'],
  ])('%s: where the name is known, and where it is not', (_name, rules, known, unknown) => {
    expect(admitted(rules, true)).toBe(known);
    expect(admitted(rules, false)).toBe(unknown);
  });

  it.each([
    [allow('from: [peers]'), '10.0.0.9'],
    [deny('from: [peers]'), '10.0.0.5 192.0.2.1 10.1.1.1'],
    [allow('from: [any], except: [peers]'), '10.0.0.5 192.0.2.1 10.1.1.1'],
  ])('unknown: ignore finds nobody there: %s', (rules, unknown) => {
    expect(admitted(rules, false, 'ignore')).toBe(unknown);
  });

  it('say what is not known', () => {
    const { reason } = explain(compile(documentOf(deny('from: [web]'))), question('10.1.1.1', '127.0.0.1:80'));
    expect(reason).toContain('web.internal');
  });
});

describe('the servers of a pool', () => {
  const { pools, networks } = documentOf('');
  const [pool] = pools;

  it('are what the file has, and what its names have inside the lane', () => {
    const known = new Map([['web.internal', addresses('10.0.0.5', '10.0.0.9', '192.0.2.1', '0.0.0.0', '::1')]]);
    const { servers, refused, unknown } = serversOf(pool!, known, networks.outbound);
    expect(servers.map(({ endpoint, named }) => [endpoint.text, named?.text])).toEqual([
      ['10.0.0.9:80', undefined],
      ['10.0.0.5:80', 'web.internal:80'],
    ]);
    expect(refused.map(({ address, text }) => [formatAddress(address), text])).toEqual([
      ['192.0.2.1', '192.0.2.1:80'],
      ['0.0.0.0', '0.0.0.0:80'],
      ['::1', '[::1]:80'],
    ]);
    expect(unknown).toEqual([]);
  });

  it('know which names have had no answer, which is not the same as having no address', () => {
    expect(serversOf(pool!, new Map(), networks.outbound).unknown).toHaveLength(1);
    expect(serversOf(pool!, new Map([['web.internal', []]]), networks.outbound).unknown).toHaveLength(0);
  });
});
