/** The commands that answer questions about policies: exit status, what is printed where. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { bulkhead } from './bulkhead.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'bulkhead-policy-'));
afterAll(() => rmSync(FOLDER, { recursive: true }));

const OLD = `version: 1
pools: { web: { servers: [127.0.0.1:9001] } }
applications:
  shop:
    vips: [127.0.0.1:8080]
    mode: http
    pool: web
    rules:
      - { name: office, from: [192.0.2.0/24], action: allow }
      - { name: spare, from: [198.51.100.0/24], action: allow }
tests:
  - { from: 192.0.2.7, to: 127.0.0.1:8080, expect: allow, by: office }
`;

const FILES = {
  'old.yaml': OLD,
  'text.yaml': OLD.replace('name: spare', 'name: other').replace('192.0.2.0/24', '192.0.2.0/25, 192.0.2.128/25'),
  'new.yaml': OLD.replace('name: spare, from: [198.51.100.0/24]', 'name: spare, http: { paths: [/open/*] }'),
  'public.yaml': OLD.replace('mode: http', 'mode: tcp').replace('name: spare, from: [198.51.100.0/24]', 'name: spare'),
  'silent.yaml': OLD.replace('mode: http', 'mode: tcp').replace(
    'name: spare, from: [198.51.100.0/24]',
    'name: spare, silence: [{ code: allow-any, reason: a public service }]',
  ),
  'closed.yaml': OLD.replace(', from: [192.0.2.0/24]', ', http: { methods: [GET] }').replace(/ {6}- { name: spare.*\n/, ''),
  'elsewhere.yaml': OLD.replace('expect: allow, by: office', 'expect: allow }\n  - { from: 192.0.2.7, to: 127.0.0.1:8081, expect: deny'),
  'h2.yaml': OLD.replace('name: office,', 'name: no-h2, protocols: [h2], action: deny }\n      - { name: office,'),
  'broken.yaml': 'version: [1\n',
};
for (const [name, text] of Object.entries(FILES)) writeFileSync(join(FOLDER, name), text);

function at(name: keyof typeof FILES): string {
  return join(FOLDER, name);
}

describe('diff', () => {
  it.each([
    ['old.yaml', 'old.yaml', 0, /^no difference in meaning\n$/],
    ['old.yaml', 'text.yaml', 0, /^no difference in meaning\n$/],
    [
      'old.yaml',
      'new.yaml',
      1,
      /loses access\n {2}from {6}198\.51\.100\.0\/24\n(?:.*\n)* {2}before {4}allow in shop by spare at .*old\.yaml:10:9\n {2}after {5}deny in shop by default/,
    ],
  ] as const)('from %s to %s ends with %i', async (old, next, status, stdout) => {
    const ended = await bulkhead(['diff', at(old), at(next)]);
    expect(ended).toMatchObject({ status, stderr: '' });
    expect(ended.stdout).toMatch(stdout);
  });

  it('prints witnesses that explain --batch takes, and that it confirms', async () => {
    const { stdout, status } = await bulkhead(['diff', at('old.yaml'), at('new.yaml'), '--json']);
    const { groups } = JSON.parse(stdout) as { groups: { witness: object; old: { verdict: string }; new: { verdict: string } }[] };
    expect(status).toBe(1);
    expect(groups.length).toBeGreaterThan(1);
    const lines = groups.map(({ witness }) => JSON.stringify(witness)).join('\n');
    for (const [side, file] of [
      ['old', 'old.yaml'],
      ['new', 'new.yaml'],
    ] as const) {
      const answers = (await bulkhead(['explain', at(file), '--batch'], lines)).stdout.trim().split('\n');
      expect(answers.map((line) => (JSON.parse(line) as { verdict: string }).verdict)).toEqual(groups.map((group) => group[side].verdict));
    }
  });

  it('ends with 2 where a file cannot be read', async () => {
    expect(await bulkhead(['diff', at('old.yaml'), at('broken.yaml')])).toMatchObject({ status: 2, stdout: '' });
    expect(await bulkhead(['diff', at('old.yaml'), join(FOLDER, 'none.yaml')])).toMatchObject({ status: 2, stdout: '' });
  });
});

describe('explain', () => {
  it.each([
    [[], /\. The request's protocol, method and path were not said: it is judged as http GET \/\.$/],
    [['--protocol', 'h2'], /\. The request's method and path were not said: it is judged as h2 GET \/\.$/],
    [['--path', '/x'], /this flow\.$/],
    [['--protocol', 'grpc', '--path', '/x'], /this flow\.$/],
    [['--protocol', 'ssh'], /answers ssh with 400\.$/],
  ] as const)('of requests, given %j, says what was taken for granted', async (said, reason) => {
    const { stdout } = await bulkhead(['explain', at('old.yaml'), '--from', '192.0.2.7', '--to', '127.0.0.1:8080', '--json', ...said]);
    expect((JSON.parse(stdout) as { reason: string }).reason).toMatch(reason);
  });

  it('tells a WebSocket over HTTP/2 from one over HTTP/1.1', async () => {
    const ask = (...more: string[]) =>
      bulkhead(['explain', at('h2.yaml'), '--from', '192.0.2.7', '--to', '127.0.0.1:8080', '--protocol', ...more]);
    const [one, two, wrong] = await Promise.all([ask('websocket'), ask('websocket', '--over', 'h2'), ask('http', '--over', 'h2')]);
    expect([one.status, two.status, wrong.status]).toEqual([0, 1, 2]);
    expect(two.stdout).toMatch(/^deny: 192\.0\.2\.7 to 127\.0\.0\.1:8080 \(websocket over h2\)/);
    expect(wrong.stderr).toMatch(/Only a flow of protocol websocket is over: h2, and this one is http/);
  });
});

describe('check', () => {
  it('tells with --coverage which rules no test reaches', async () => {
    const { stdout, status } = await bulkhead(['check', '--coverage', at('old.yaml')]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^1 test\tallow\toffice\t.*\nno test\tallow\tspare\t.*:10:9\ncoverage: 1 of 2 rules reached by tests\n/);
    const json = JSON.parse((await bulkhead(['check', '--coverage', '--json', at('old.yaml')])).stdout) as { coverage: object[] };
    expect(json.coverage).toMatchObject([
      { rule: 'office', tests: [0] },
      { rule: 'spare', tests: [], path: '/applications/shop/rules/1' },
    ]);
  });

  it('tells of a test that asks where nobody listens, and so proves nothing', async () => {
    const { stderr, status } = await bulkhead(['check', at('elsewhere.yaml')]);
    expect(status).toBe(0);
    expect(stderr).toMatch(
      /elsewhere\.yaml:13:5: warning\[test-without-vip\]: The test asks about 127\.0\.0\.1:8081.*did you mean "127\.0\.0\.1:8080"\?/,
    );
    writeFileSync(
      at('elsewhere.yaml'),
      `${FILES['elsewhere.yaml']}silence: [{ code: test-without-vip, reason: nothing may listen there }]\n`,
    );
    expect((await bulkhead(['check', at('elsewhere.yaml')])).stderr).not.toMatch(/test-without-vip|silence-unused/);
  });

  it('is quiet about a finding that the file silences with a reason', async () => {
    expect((await bulkhead(['check', at('public.yaml')])).stderr).toMatch(/public\.yaml:10:9: warning\[allow-any\]/);
    expect((await bulkhead(['check', at('silent.yaml')])).stderr).not.toMatch(/allow-any/);
  });
});

it('print prints a file of the same meaning', async () => {
  const { stdout, status } = await bulkhead(['print', at('text.yaml')]);
  expect(status).toBe(0);
  writeFileSync(join(FOLDER, 'printed.yaml'), stdout);
  expect(await bulkhead(['diff', at('old.yaml'), join(FOLDER, 'printed.yaml')])).toMatchObject({ status: 0 });
});

describe('export', () => {
  it('says in comments what is left out, and on standard error how much that is', async () => {
    const { stdout, stderr, status } = await bulkhead(['export', at('new.yaml'), '--to', 'nftables']);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: '1 thing is not expressed: the comments at the beginning of the export say what and why\n',
    });
    expect(stdout).toMatch(/^# not expressed: Rule "spare" \(.*new\.yaml:10:9\) depends on the request/m);
    expect(stdout).toContain('192.0.2.0-192.0.2.255');
  });

  it.each(['nftables', 'kubernetes'])(
    'to %s fails where nobody could reach an application any more, unless that is meant',
    async (target) => {
      const words = ['export', at('closed.yaml'), '--to', target];
      const [plain, meant] = await Promise.all([bulkhead(words), bulkhead([...words, '--allow-empty'])]);
      expect(plain).toMatchObject({
        status: 1,
        stderr: expect.stringMatching(/^nobody could reach shop any more: [^\n]+\n\d+ things? (is|are) not expressed: [^\n]+\n$/),
      });
      expect(meant).toEqual({ ...plain, status: 0 });
    },
  );

  it('takes targets that it knows', async () => {
    expect((await bulkhead(['export', at('old.yaml'), '--to', 'kubernetes'])).stdout).toMatch(
      /kind: NetworkPolicy[\s\S]*cidr: 192\.0\.2\.0\/24/,
    );
    expect(await bulkhead(['export', at('old.yaml'), '--to', 'iptables'])).toMatchObject({ status: 2, stdout: '' });
  });
});
