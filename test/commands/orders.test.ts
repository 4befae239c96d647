/** The commands that speak to a running node, each as its own process. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type TestServer, until } from '../node/harness.ts';
import { connectFrom } from '../versions/controlled.ts';
import { bulkhead, ended, startBulkhead } from './bulkhead.ts';
import { type NodeProcess, SECRET, startNodeProcess } from './node.ts';

let node: NodeProcess;
let echo: TestServer;

beforeAll(async () => {
  echo = await startServer((socket) => socket.pipe(socket));
  node = await startNodeProcess('network', echo.port);
}, 30_000);
afterAll(async () => {
  await node.kill('SIGTERM');
  await echo.close();
  rmSync(node.folder, { recursive: true, force: true });
});

const OFFICE = '{ name: office, from: [office], action: allow }';

async function json(...words: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr, status } = await node.run(...words, '--json');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
}

async function liveFrom(source: string) {
  const client = await connectFrom(source, node.port);
  client.socket.write('hi');
  await until(() => client.text() === 'hi');
  return client;
}

describe('a change and back', () => {
  it('is rehearsed, applied, listed, rolled back and audited', async () => {
    const [kept, cut] = [await liveFrom('127.0.0.2'), await liveFrom('127.0.0.3')];
    const office = node.write('office.yaml', OFFICE);
    const rehearsal = await node.run('apply', office, '--dry-run');
    expect(rehearsal.stdout).toMatch(/^ +live +1 of 2 flows would end$/m);
    expect(rehearsal.stdout).toMatch(/1 +shop +127\.0\.0\.3 +all +default/);
    const generation = /--generation (\d+)/.exec(rehearsal.stdout)![1]!;

    const applied = await node.run('apply', office, '--note', 'office only', '--generation', generation);
    expect(applied).toMatchObject({ status: 0, stderr: '' });
    expect(applied.stdout).toMatch(/^in force: version 2, generation \d+[\s\S]*flows +1 ended, 1 left alone$/m);
    await cut.closed;
    expect(kept.isOpen()).toBe(true);
    kept.socket.destroy();

    const late = await node.run('apply', node.file, '--generation', generation);
    expect(late).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/^bulkhead: Generation \d+ is in force \(version 2 by ana[^\n]+\n$/),
    });
    expect((await node.run('versions')).stdout).toMatch(/^ +2 .* apply +ana +office only$/m);
    expect((await node.run('versions', '2')).stdout).toContain('name: office');
    expect((await node.run('rollback')).stdout).toMatch(/^in force: version 3/);
    expect((await node.run('audit')).stdout).toMatch(/ana \(admin\) +127\.0\.0\.1:\d+ +rollback +done +3 +back to version 1/);
    expect((await node.run('audit', '--verify')).stdout).toMatch(/^whole: \d+ entries/);
  });

  it('is confirmed, or refused while another waits', async () => {
    const office = node.write('office.yaml', OFFICE);
    expect((await node.run('apply', office, '--confirm', '60s')).stdout).toMatch(/unconfirmed taken back at .*--confirm-now/);
    expect((await node.run('apply', node.file)).stderr).toMatch(/waits for its confirmation/);
    expect((await node.run('apply', '--confirm-now')).stdout).toMatch(/^confirmed: version/);
    expect((await node.run('apply', node.file)).status).toBe(0);
  });

  it('by SIGHUP is a version as well; a bad file changes nothing, and is in the audit', async () => {
    const newest = async () => ((await json('versions', '--limit', '1')).versions as { cause: string; version: number }[])[0]!;
    node.write('bulkhead.yaml', OFFICE);
    node.reload();
    await until(async () => (await newest()).cause === 'signal', 10_000);
    const { version } = await newest();
    node.write('bulkhead.yaml', '{ name: a, action: alow }');
    node.reload();
    await until(async () => /signal +refused/.test((await node.run('audit', '--limit', '1')).stdout), 10_000);
    expect((await newest()).version).toBe(version);
    node.write('bulkhead.yaml', '{ name: all, action: allow }');
    node.reload();
    await until(async () => (await newest()).version === version + 1, 10_000);
  }, 40_000);

  it('with a bad file names every problem at its line, and ends with 1', async () => {
    const bad = node.write('bad.yaml', '{ name: a, action: alow }, { name: b, from: [offce], action: allow }');
    const { status, stdout, stderr } = await node.run('apply', bad);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(
      /^bulkhead: \S*bad\.yaml:9:\d+: error\[wrong-value\][^\n]+"allow"\?\nbulkhead: \S*bad\.yaml:9:\d+: error\[dangling-name\][^\n]+\n$/,
    );
  });
});

describe('beside the document', () => {
  it('a source is cut off, listed and let back in', async () => {
    const client = await liveFrom('127.0.0.5');
    const placed = await node.run('quarantine', '127.0.0.5', '--for', '1h', '--reason', 'scans');
    const name = /^(quarantine-\d+): 127\.0\.0\.5\/32 is cut off until/.exec(placed.stdout)![1]!;
    await client.closed;
    expect((await node.run('quarantine')).stdout).toMatch(new RegExp(`^${name} +127\\.0\\.0\\.5/32 .* ana +scans$`, 'm'));
    const denied = await json('flows', '--denied', '--source', '127.0.0.5');
    expect(denied.flows).toEqual([]);
    await (await connectFrom('127.0.0.5', node.port)).closed;
    await until(async () => ((await json('flows', '--denied', '--source', '127.0.0.5')).flows as unknown[]).length === 1, 10_000);
    expect((await node.run('release', name)).status).toBe(0);
    (await liveFrom('127.0.0.5')).socket.destroy();
  }, 20_000);

  it('a server is drained and up again', async () => {
    const server = `echo/127.0.0.1:${echo.port}`;
    expect((await node.run('server', 'drain', server)).stdout).toMatch(/takes no new flows/);
    expect((await node.run('status')).stdout).toMatch(new RegExp(`^${server} +drain`, 'm'));
    expect((await node.run('server')).stdout).toMatch(/ drain +ana/);
    expect((await node.run('server', 'up', server)).status).toBe(0);
    expect((await node.run('server', 'drain', 'echo/127.0.0.1:1')).stderr).toMatch(/has no server echo\/127\.0\.0\.1:1/);
  });
});

describe('looking', () => {
  it('status tells how the node is', async () => {
    const { status, stdout } = await node.run('status');
    expect(status).toBe(0);
    expect(stdout).toMatch(/: ready, bulkhead \d/);
    expect(stdout).toMatch(/^shop +tcp +enforce +127\.0\.0\.1:\d+/m);
    expect(await json('status')).toMatchObject({ ready: true, overlay: { quarantines: [], confirm_by: null } });
  });

  it('top prints one reading where there is no terminal', async () => {
    const { status, stdout } = await node.run('top', '--sort', 'rate');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^application +live +new\/s/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('flows lists live ones, and follows those that end', async () => {
    const client = await liveFrom('127.0.0.2');
    expect((await node.run('flows', '--application', 'shop')).stdout).toMatch(/allow +shop +127\.0\.0\.2:\d+/);
    const child = startBulkhead(['flows', '--follow', '--json', '--admin', node.admin]);
    const end = ended(child);
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await until(async () => ((await json('status')).admin as { listeners: number }).listeners === 1, 10_000);
    client.socket.end();
    await until(() => text.includes('\n'));
    child.kill('SIGTERM');
    await end;
    expect(JSON.parse(text.split('\n')[0]!)).toMatchObject({ event: 'flow', application: 'shop', verdict: 'allow' });
  }, 20_000);
});

describe('the audit of a state folder', () => {
  it('is verified without the node, and names the first broken entry', async () => {
    const state = join(node.folder, 'state');
    const verify = () => bulkhead(['audit', '--verify', '--state', state]);
    expect(await verify()).toMatchObject({ status: 0, stdout: expect.stringMatching(/^whole/) });
    const path = join(state, 'versions/audit.ndjson');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace('office only', 'office, only'));
    expect(await verify()).toMatchObject({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/^bulkhead: the audit is not whole at entry 2 \(line 2\): [^\n]+changed\n$/),
    });
    writeFileSync(path, text);
  });
});

describe('what cannot be done', () => {
  it.each([
    [['apply'], /say which file to apply/, 2],
    [['apply', 'no-such.yaml'], /no-such\.yaml/, 2],
    [['apply', 'config/bulkhead.yaml', '--confirm', 'soon'], /--confirm "soon" is not a duration/, 2],
    [['apply', 'config/bulkhead.yaml', '--guard', 'five'], /--guard "five" is not a percentage/, 2],
    [['apply', 'config/bulkhead.yaml', '--dry-run', '--guard'], /--dry-run changes nothing/, 2],
    [['rollback', 'last'], /"last" is not the number of a version/, 2],
    [['rollback', '999'], /There is no version 999/, 1],
    [['quarantine', '127.0.0.2'], /--for is missing/, 2],
    [['quarantine', '127.0.0.2', '--for', '1h'], /--reason is missing/, 2],
    [['quarantine', 'offce', '--for', '1h', '--reason', 'x'], /Did you mean office/, 1],
    [['release', 'quarantine-99'], /There is no quarantine quarantine-99: none is in force/, 1],
    [['server', 'stop', 'a/b'], /"stop" is not one of up, drain, maintenance/, 2],
    [['server', 'drain', 'echo'], /POOL\/ADDRESS/, 2],
    [['top', '--sort', 'size'], /--sort "size" is not one of bytes, rate, denials/, 2],
    [['flows', '--limit', '0'], /--limit "0"/, 2],
    [['audit', '--state', '/nowhere'], /is not a folder/, 2],
  ] as const)('%j is answered in one line', { concurrent: true }, async (words, message, status) => {
    const answer = await node.run(...words);
    expect(answer.stderr).toMatch(message);
    expect(answer.stderr).toMatch(/^bulkhead: [^\n]+\n$/);
    expect([answer.status, answer.stdout]).toEqual([status, '']);
  });

  it('is said of the token, and of a node that is not there', async () => {
    const without = await bulkhead(['apply', node.file, '--admin', node.admin]);
    expect(without).toMatchObject({ status: 1, stderr: expect.stringMatching(/takes a token.*--token-file, or in BULKHEAD_TOKEN/) });
    const nobody = await bulkhead(['status', '--admin', 'http://127.0.0.1:1']);
    expect(nobody).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^bulkhead: no answer from http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)[^\n]+\n$/),
    });
    expect(await bulkhead(['status', '--admin', 'unix:/nowhere.sock'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/ENOENT/),
    });
  });

  it('takes the token from the environment as well', async () => {
    const child = startBulkhead(['rollback', '--admin', node.admin], { BULKHEAD_TOKEN: SECRET });
    child.stdin.end();
    expect((await ended(child)).status).toBe(0);
  });
});
