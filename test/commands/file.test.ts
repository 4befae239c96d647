/** The commands that read a file, each as people call it: arguments and input, exit status and output. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { bulkhead, ROOT, startBulkhead } from './bulkhead.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'bulkhead-commands-'));
afterAll(() => rmSync(FOLDER, { recursive: true }));

const EXAMPLE = 'config/bulkhead.yaml';
const SHOP = '127.0.0.1:8080';

/** Line 10 holds the rule; line 14 the test. */
const GOOD = `version: 1
pools:
  web: { servers: [127.0.0.1:9001], health: { type: tcp } }
applications:
  shop:
    vips: [127.0.0.1:8080]
    mode: http
    pool: web
    rules:
      - name: office
        from: [192.0.2.0/24]
        action: allow
tests:
  - { from: 192.0.2.7, to: 127.0.0.1:8080, expect: allow, by: office }
`;

const FILES = {
  'good.yaml': GOOD,
  'wrong.yaml': GOOD.replace('pool: web\n', 'pool: webb\n').replace('mode: http', 'moode: http'),
  'doubtful.yaml': `${GOOD}segments:\n  nobody: { addresses: [10.0.0.0/8] }\n`,
  'failing.yaml': GOOD.replace('expect: allow', 'expect: deny'),
  'broken.yaml': 'version: [1\n',
};
for (const [name, text] of Object.entries(FILES)) writeFileSync(join(FOLDER, name), text);

function at(name: keyof typeof FILES): string {
  return join(FOLDER, name);
}

describe('check', () => {
  it.each([
    ['good.yaml', 0, /good: 1 application, 1 rule, 0 errors, 0 warnings, 1 test passed\n$/, /^$/],
    ['doubtful.yaml', 0, /good: .*1 warning/, /doubtful\.yaml:16:3: warning\[segment-unused\]/],
    [
      'wrong.yaml',
      1,
      /not good: [2-9] errors/,
      /wrong\.yaml:7:5: error\[.*wrong\.yaml:8:11: error\[dangling-name\].*did you mean "web"\?/s,
    ],
    ['failing.yaml', 1, /not good: .*0 tests passed, 1 failed/, /test failed: .*failing\.yaml:14:5: expected deny .*allow by office/],
    ['broken.yaml', 1, /not good: [1-9]/, /broken\.yaml:\d+:\d+: error\[yaml-syntax\]/],
  ] as const)('of %s ends with %i', { concurrent: true }, async (name, status, stdout, stderr) => {
    const ended = await bulkhead(['check', at(name)]);
    expect(ended.stdout).toMatch(stdout);
    expect(ended.stderr).toMatch(stderr);
    expect(ended.status).toBe(status);
  });

  it('of the example file finds nothing', async () => {
    expect(await bulkhead(['check', EXAMPLE])).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining(' 0 errors, 0 warnings'),
    });
  });

  it('says the same as JSON, on standard output alone', async () => {
    const wrong = await bulkhead(['check', at('wrong.yaml'), '--json']);
    expect({ status: wrong.status, stderr: wrong.stderr }).toEqual({ status: 1, stderr: '' });
    expect(JSON.parse(wrong.stdout)).toMatchObject({
      ok: false,
      problems: expect.arrayContaining([
        expect.objectContaining({
          code: 'dangling-name',
          severity: 'error',
          path: '/applications/shop/pool',
          at: `${at('wrong.yaml')}:8:11`,
        }),
      ]),
    });
    const failing = await bulkhead(['check', at('failing.yaml'), '--json']);
    expect(JSON.parse(failing.stdout)).toMatchObject({
      ok: false,
      problems: [],
      tests: [{ passed: false, expect: 'deny', answer: { verdict: 'allow', rule: 'office' } }],
    });
  });

  it('reads a folder', async () => {
    const ended = await bulkhead(['check', FOLDER]);
    expect(ended.stderr).toMatch(/broken\.yaml/);
    expect(ended.status).toBe(1);
  });
});

describe('explain', () => {
  it.each([
    [
      ['--from', '127.0.0.7', '--path', '/admin/x'],
      1,
      { verdict: 'deny', application: 'shop', rule: 'no-admin-from-outside', tier: 'application' },
    ],
    [['--from', '127.0.0.2', '--path', '/admin/x'], 0, { verdict: 'allow', application: 'shop', rule: 'customers', tier: 'application' }],
    [['--from', '::ffff:127.0.0.2', '--path', '/ADMIN/../admin/x'], 0, { verdict: 'allow', rule: 'customers' }],
    [
      ['--from', '127.0.0.7', '--protocol', 'http', '--method', 'GET', '--host', 'a.example', '--path', '/'],
      0,
      { verdict: 'allow', rule: 'customers' },
    ],
    [['--from', '127.0.0.7', '--protocol', 'tls'], 1, { verdict: 'deny', application: 'shop', rule: 'default', at: null }],
  ] as const)('%j ends with %i', { concurrent: true }, async (words, status, verdict) => {
    const ended = await bulkhead(['explain', EXAMPLE, '--to', SHOP, ...words, '--json']);
    expect(JSON.parse(ended.stdout)).toMatchObject(verdict);
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status, stderr: '' });
  });

  it('answers for a VIP that nobody has', async () => {
    const ended = await bulkhead(['explain', EXAMPLE, '--from', '127.0.0.7', '--to', '127.0.0.1:1', '--json']);
    expect(JSON.parse(ended.stdout)).toMatchObject({
      verdict: 'deny',
      application: null,
      rule: 'default',
      at: null,
      reason: expect.any(String),
    });
    expect(ended.status).toBe(1);
  });

  it('names the rule at its place, those before it, and the nearest that would allow', async () => {
    const { status, stdout } = await bulkhead(['explain', at('good.yaml'), '--from', '198.51.100.1', '--to', SHOP]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^deny: 198\.51\.100\.1 to 127\.0\.0\.1:8080$/m);
    expect(stdout).toMatch(/before it +office at .*good\.yaml:10:9: /);
    expect(stdout).toMatch(/to allow +office at .*good\.yaml:10:9, given /);
  });

  it('refuses a file with errors in one line, as status 2: no verdict was reached', async () => {
    const ended = await bulkhead(['explain', at('wrong.yaml'), '--from', '127.0.0.7', '--to', SHOP]);
    expect(ended).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^bulkhead: .*wrong\.yaml:\d+:\d+: error\[[^\n]+tells all \d errors\n$/),
    });
  });
});

describe('explain --batch', () => {
  const flow = (from: string, more: object = {}) => JSON.stringify({ from, to: SHOP, ...more });

  it('answers line by line, in order', async () => {
    const input = [flow('192.0.2.7'), flow('192.0.3.7'), flow('192.0.2.7', { protocol: 'http', method: 'GET', host: 'h', path: '/' })].join(
      '\n',
    );
    const ended = await bulkhead(['explain', at('good.yaml'), '--batch'], `${input}\n`);
    const answers = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers.map(({ verdict, rule }) => [verdict, rule])).toEqual([
      ['allow', 'office'],
      ['deny', 'default'],
      ['allow', 'office'],
    ]);
    expect(answers[0]).toMatchObject({
      application: 'shop',
      tier: 'application',
      at: `${at('good.yaml')}:10:9`,
      reason: expect.any(String),
    });
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('answers a bad line in its place, and ends with 2', async () => {
    const input = [flow('192.0.2.7'), flow('192.0.2.7', { expect: 'allow' }), '{', flow('nobody'), flow('192.0.2.8')].join('\n');
    const ended = await bulkhead(['explain', at('good.yaml'), '--batch'], input);
    const answers = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers.map((answer) => answer.verdict ?? Object.keys(answer))).toEqual(['allow', ['error'], ['error'], ['error'], 'allow']);
    expect(ended.status).toBe(2);
  });

  it('answers 100,000 lines in seconds', async () => {
    const count = 100_000;
    const lines = Array.from({ length: count }, (_, i) => flow(`192.0.${i & 3}.${i & 255}`, { path: `/${i}` }));
    const started = performance.now();
    const ended = await bulkhead(['explain', at('good.yaml'), '--batch'], `${lines.join('\n')}\n`);
    const seconds = (performance.now() - started) / 1000;
    const answers = ended.stdout.trimEnd().split('\n');
    expect(answers).toHaveLength(count);
    for (const i of [0, 1, 2, 99_998]) expect(JSON.parse(answers[i]!).verdict, lines[i]!).toBe((i & 3) === 2 ? 'allow' : 'deny');
    // Takes about 1.5 s on an idle core; the bound is for a machine that is busy with other tests.
    expect(seconds).toBeLessThan(15);
  });

  it('answers each line as it comes, not when the input ends', async () => {
    const child = startBulkhead(['explain', at('good.yaml'), '--batch']);
    onTestFinished(() => void child.kill());
    const answer = new Promise<string>((resolve) => child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString())));
    child.stdin.write(`${flow('192.0.2.7')}\n`);
    expect(JSON.parse(await answer)).toMatchObject({ verdict: 'allow' });
    child.stdin.end();
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
  });

  it('ends quietly when its reader leaves', async () => {
    const command = `yes '${flow('192.0.2.7')}' | "$0" proxy/main.ts explain "$1" --batch | head -n 1`;
    const child = spawn('sh', ['-c', command, process.execPath, at('good.yaml')], { cwd: ROOT });
    const text = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (text.stdout += chunk));
    child.stderr.on('data', (chunk) => (text.stderr += chunk));
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    expect(JSON.parse(text.stdout)).toMatchObject({ verdict: 'allow' });
    expect(text.stderr.replace(/^yes: .*\n/gm, '')).toBe('');
  });
});

describe('schema', () => {
  it('is a JSON Schema that names the parts of the file', async () => {
    const { status, stdout } = await bulkhead(['schema']);
    expect(status).toBe(0);
    expect(Object.keys(JSON.parse(stdout).properties)).toEqual(
      expect.arrayContaining(['version', 'networks', 'pools', 'applications', 'tests']),
    );
  });

  it('is with --text a reference for people', async () => {
    const { status, stdout } = await bulkhead(['schema', '--text']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^# The file, key by key\n[\s\S]*\n## `pools\.NAME\.health`\n[\s\S]*default `2s`/);
    expect(stdout).toBe(readFileSync(join(ROOT, 'config/REFERENCE.md'), 'utf8'));
  });
});
