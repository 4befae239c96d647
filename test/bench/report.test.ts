import { describe, expect, it } from 'vitest';
import { compare } from '../../bench/compare.ts';
import { Findings, type Measure } from '../../bench/findings.ts';
import { readOptions } from '../../bench/options.ts';
import { documentText } from '../../bench/peers/bulkhead.ts';
import { plot } from '../../bench/plot.ts';
import { type Circumstances, figure, formatReport, makeReport, table } from '../../bench/report.ts';
import { parseAutocannon, parseWrk } from '../../bench/work/http.ts';
import { policyOf } from '../../bench/work/rules.ts';

const measure = (key: string, baseline: string | null = null): Measure => ({
  key,
  title: `work <${key}> & more`,
  unit: 'µs',
  rateUnit: 'units/s',
  how: 'by hand',
  baseline,
});

const CIRCUMSTANCES: Circumstances = {
  startedAt: '2026-11-22T06:00:00.000Z',
  durationSeconds: 10,
  command: 'npm run bench --',
  machine: { cpu: 'Some <CPU> (family 6)', cores: 2, memoryBytes: 1, kernel: '6.1', node: '26.0.0' },
  commit: { id: 'abc', dirty: true },
  rounds: 3,
  seconds: 1,
  coresApart: true,
  othersShare: 0.25,
  peers: [{ name: 'haproxy', version: '2.6', logging: 'off', settings: 'usual' }],
  tools: ['wrk 4'],
};

function findingsOf(series: { [peer: string]: number[] }, of: Measure): Findings {
  const findings = new Findings();
  findings.declare(of);
  for (const [peer, values] of Object.entries(series))
    for (const [round, value] of values.entries()) findings.add(of.key, peer, { round, value, rate: 100, load: 0.5 });
  return findings;
}

describe('compare', () => {
  it.each([
    {
      name: 'holds Bulkhead to the better of the two',
      series: { bulkhead: [11, 11], haproxy: [20, 20], nginx: [10, 10] },
      better: 'nginx',
      figure: 1.1,
      reached: true,
    },
    {
      name: 'says so when it is not reached',
      series: { bulkhead: [12], haproxy: [10], nginx: [11] },
      better: 'haproxy',
      figure: 1.2,
      reached: false,
    },
    { name: 'compares with the only one there is', series: { bulkhead: [9], nginx: [10] }, better: 'nginx', figure: 0.9, reached: true },
    {
      name: 'has not reached what was not measured',
      series: { haproxy: [9], nginx: [10] },
      better: 'haproxy',
      figure: null,
      reached: false,
    },
    { name: 'takes no slower rival for the better one', series: { bulkhead: [9], node: [10] }, better: null, figure: null, reached: false },
  ])('$name', ({ series, better, figure: expected, reached }) => {
    const of = measure('http-wrk');
    const result = compare(findingsOf(series, of), of);
    expect(result.better).toBe(better);
    expect(result.target?.figure ?? null).toEqual(expected === null ? null : expect.closeTo(expected));
    expect(result.target?.reached).toBe(reached);
  });

  it('compares with the baseline where there is one', () => {
    const of = measure('workers-bulkhead', '1 worker');
    const result = compare(findingsOf({ '1 worker': [10, 10], '2 workers': [12, 12] }, of), of);
    expect(result.rows.map((row) => row.ratio?.median ?? null)).toEqual([null, 1.2]);
    expect(result.target).toMatchObject({ figure: 1.2, reached: false });
  });

  it('holds it to one peer where the target names one', () => {
    const of = measure('h2-streams');
    const result = compare(findingsOf({ bulkhead: [12, 12], haproxy: [8, 8], nginx: [11, 11] }, of), of);
    expect(result.target).toMatchObject({ figure: expect.closeTo(12 / 11), reached: true, bound: expect.closeTo(1.2 * 11) });
  });

  it('takes what a series costs beyond its baseline, round by round', () => {
    const of = measure('identity-requests', 'no rule asks');
    const result = compare(findingsOf({ 'no rule asks': [10, 20, 10], 'a rule asks': [10.4, 20.2, 12] }, of), of);
    expect(result.target).toMatchObject({ figure: expect.closeTo(0.4), reached: true });
    const missing = compare(findingsOf({ 'a rule asks': [1] }, of), of);
    expect(missing.target).toMatchObject({ figure: null, reached: false });
  });

  it('leaves the direct way out of the comparison', () => {
    const of = measure('latency-p50');
    const result = compare(findingsOf({ direct: [30], bulkhead: [50], nginx: [40] }, of), of);
    expect(result.rows[0]).toMatchObject({ series: 'direct', ratio: null, toBetter: null });
  });
});

describe('the report', () => {
  it('aligns the columns of a table', () => {
    expect(
      table([
        ['', 'cost'],
        ['nginx', '9'],
        ['a', '10.5'],
      ]),
    ).toEqual(['         cost', '  nginx     9', '  a      10.5']);
  });

  it.each([
    { value: 0.4567, text: '0.457' },
    { value: 4.567, text: '4.57' },
    { value: -45.67, text: '-45.7' },
    { value: 45_670, text: '45,670' },
  ])('writes $value as $text', ({ value, text }) => {
    expect(figure(value)).toBe(text);
  });

  it('names what failed, and shows a measure without any figure', () => {
    const of = measure('bulk');
    const findings = findingsOf({}, of);
    findings.fail('start', 'bulkhead', 'not there');
    const text = formatReport(makeReport(CIRCUMSTANCES, findings));
    expect(text).toContain('bulkhead (start): not there');
    expect(text).toContain('no figures');
    expect(text).toContain('not measured');
    expect(text).toContain('abc with changes');
  });
});

describe('the plot', () => {
  it.each([
    { name: 'all peers', series: { bulkhead: [11, 9], haproxy: [20, 21], nginx: [10, 12], 'http-proxy': [900, 1000] } },
    { name: 'no Bulkhead', series: { haproxy: [20], nginx: [10] } },
    { name: 'figures below zero', series: { bulkhead: [-3], haproxy: [-20], nginx: [10] } },
    { name: 'nothing', series: {} },
  ])('is well-formed SVG without broken numbers, with $name', ({ series }) => {
    const svg = plot(makeReport(CIRCUMSTANCES, findingsOf(series, measure('http-wrk'))));
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(openElements(svg)).toEqual([]);
    expect(svg).toContain('prefers-color-scheme:dark');
  });
});

/** Elements still open at the end; throws on a wrong end tag, a bare ampersand or a stray `<`. */
function openElements(xml: string): string[] {
  const open: string[] = [];
  if (/&(?!(amp|lt|gt|quot);)/.test(xml)) throw new Error('a bare ampersand');
  const rest = xml.replace(
    /<(\/?)([a-z]+)((?:\s[a-zA-Z0-9:-]+="[^"<]*")*)(\/?)>/g,
    (_tag, end: string, name: string, _attributes, empty: string) => {
      if (end === '/' && open.pop() !== name) throw new Error(`</${name}> ends another element`);
      if (end === '' && empty === '') open.push(name);
      return '';
    },
  );
  if (rest.includes('<')) throw new Error(`not a tag: ${rest.slice(rest.indexOf('<'), 80)}`);
  return open;
}

describe('what the loads print', () => {
  it.each([
    { output: '  70123 requests in 2.10s, 17.26MB read\n', result: { units: 70_123, seconds: 2.1 } },
    { output: '  5 requests in 900.00ms, 1KB read\n', result: { units: 5, seconds: 0.9 } },
    { output: '  9 requests in 1.00m, 1KB read\n', result: { units: 9, seconds: 60 } },
  ])('reads wrk: $output', ({ output, result }) => {
    expect(parseWrk(output)).toEqual(result);
  });

  it.each([
    '  9 requests in 1.00s\n  Non-2xx or 3xx responses: 9\n',
    '  9 requests in 1.00s\n  Socket errors: connect 0, read 3, write 0, timeout 0\n',
    '',
  ])('refuses wrk with errors: %j', (output) => {
    expect(() => parseWrk(output)).toThrow('wrk: ');
  });

  it('reads autocannon, and refuses it with errors', () => {
    const result = { '2xx': 10, non2xx: 0, errors: 0, timeouts: 0, duration: 2 };
    expect(parseAutocannon(JSON.stringify(result))).toEqual({ units: 10, seconds: 2 });
    expect(() => parseAutocannon(JSON.stringify({ ...result, errors: 1 }))).toThrow('1 errors');
  });
});

describe('the command line', () => {
  it.each([
    {
      args: ['--only', 'bulk,http', '--rounds', '3'],
      expected: { works: ['http', 'bulk'], rounds: 3, seconds: 2, quick: false, json: null, plot: null },
    },
    { args: ['--quick', '--json', 'x.json'], expected: { quick: true, rounds: 2, seconds: 0.6, json: 'x.json', plot: 'x.svg' } },
    { args: ['--peers', 'nginx,haproxy'], expected: { peers: ['haproxy', 'nginx'] } },
  ])('reads $args', ({ args, expected }) => {
    expect(readOptions(args)).toMatchObject(expected);
  });

  it.each([
    { args: ['--only', 'x'], says: 'no such thing as x' },
    { args: ['--peers', ','], says: 'at least one' },
    { args: ['--rounds', '0'], says: '--rounds' },
    { args: ['--rounds', '1.5'], says: 'whole' },
    { args: ['--seconds', 'long'], says: '--seconds' },
    { args: ['--sideways'], says: '--sideways' },
  ])('says what is wrong with $args', ({ args, says }) => {
    expect(readOptions(args)).toContain(says);
  });
});

describe('the generated policy', () => {
  it.each([
    { rules: 1, prefixes: 10 },
    { rules: 1, prefixes: 100 },
    { rules: 100, prefixes: 10 },
    { rules: 100, prefixes: 1_000 },
  ])('has $rules rules over $prefixes distinct prefixes, and names only segments that exist', ({ rules, prefixes }) => {
    const policy = policyOf({ rules, prefixes });
    const written = policy.segments.match(/\d+\.\d+\.\d+\.\d+\/\d+/g) ?? [];
    expect(new Set(written).size).toBe(prefixes);
    expect(policy.rules.split('\n').length).toBe(rules);
    const known = new Set([...policy.segments.matchAll(/^ {2}(\w+):/gm)].map((match) => match[1]));
    for (const [, name] of policy.rules.matchAll(/from: \[(\w+)\]/g)) expect(known).toContain(name);
    expect(policy.rules.trimEnd().split('\n').at(-1)).toContain('action: allow');
  });

  it('goes into the file that Bulkhead is run on', () => {
    const certificate = { certificate: '/tmp/c.pem', key: '/tmp/c.key', both: '/tmp/c.both' };
    const setup = {
      folder: '/tmp/x',
      certificate,
      backends: { http: 1, echo: 2, bulk: 3 },
      cores: 'proxy',
      workers: 2,
      flows: 10,
    } as const;
    const text = documentText(policyOf({ rules: 2, prefixes: 3 }), setup, { http: 11, echo: 12, bulk: 13, https: 14, h2: 11 }, 15);
    for (const part of [
      'workers: 2',
      '127.0.0.1:14',
      'state: "/tmp/x/state"',
      'vips: [127.0.0.1:11]',
      'servers: [127.0.0.1:3]',
      'clients:',
    ])
      expect(text).toContain(part);
  });
});
