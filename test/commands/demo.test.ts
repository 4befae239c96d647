/** `npm start` as a newcomer meets it. It listens on the fixed addresses of the example file, so it needs them free. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { firstBusy } from '../../proxy/commands/ports.ts';
import { type Ended, ended, ROOT, startBulkhead } from './bulkhead.ts';

const PORTS = [8080, 6432, 9900, 9001, 9002, 9003, 9101];
const LOOPBACK = { family: 4, words: [0, 0, 0xffff, 0x7f000001] } as const;
const busy = await firstBusy(PORTS.map((port) => ({ kind: 'tcp', address: LOOPBACK, port, text: `127.0.0.1:${port}` })));

interface Demo {
  readonly child: ReturnType<typeof startBulkhead>;
  readonly end: Promise<Ended>;
  /** What it had printed when it was ready. */
  readonly text: string;
}

let running: Demo | null = null;
afterEach(async () => {
  running?.child.kill('SIGKILL');
  await running?.end;
  running = null;
});

async function startDemo(): Promise<Demo> {
  const child = startBulkhead(['demo']);
  const end = ended(child);
  let text = '';
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('Ctrl-C stops it.')) resolve();
    });
    void end.then(({ status, stderr }) => reject(new Error(`the demo ended with ${status}: ${stderr}`)));
  });
  running = { child, end, text };
  return running;
}

/** The commands that the demo prints, each with the outcome printed under it. */
function printed(text: string): Map<string, string> {
  const lines = text.split('\n');
  const tries = lines.flatMap((line, i) => (/^ {2}\S/.test(line) ? [[lines[i + 1]!.trim(), line.trim()] as const] : []));
  return new Map(tries);
}

/** `prepared`: what was said in the terminal before. */
function shell(command: string, prepared = ':'): Promise<string> {
  return new Promise((resolve) => {
    // Its standard input stays open, as a terminal is: curl leaves a connection when its input ends.
    execFile('bash', ['-c', `${prepared}; ${command}`], { cwd: ROOT, timeout: 10_000 }, (_, stdout, stderr) =>
      resolve(`${stdout}${stderr}`),
    );
  });
}

const OUTCOMES: readonly (readonly [RegExp, RegExp])[] = [
  [/^allowed: 200/, /^HTTP\/1\.1 200 .*I am web-[123]\..*GET \/ with/s],
  [/^denied: 403/, /^HTTP\/1\.1 403 .*bulkhead-receipt: \S+/is],
  [/^allowed: 127\.0\.0\.2/, /^HTTP\/1\.1 200 .*I am web-[123]\./s],
  [/^a TCP flow/, /^hello\n$/],
  [/^denied: the connection is reset/, /reset by peer|Couldn't connect/i],
  [/^why it was denied/, /^deny: 127\.0\.0\.7 to 127\.0\.0\.1:6432/],
  [/^the counters/, /^bulkhead_flows_total\{.*verdict="deny".*\} [1-9]/m],
  [/^an order: 127\.0\.0\.2 is cut off/, /^quarantine-\d+: 127\.0\.0\.2\/32 is cut off until /],
  [/^an order: it is let back in/, /^in force: version \d+/],
  [/^an order: the server takes no new flows/, /^web\/127\.0\.0\.1:9003: takes no new flows/],
  [/^an order: it takes them again/, /^web\/127\.0\.0\.1:9003: as the document says/],
  [/^a dry run/, /^nothing is changed; .*rule changed: echo-tcp\/web-tier/s],
  [/^an order: now it is so/, /^in force: version \d+/],
  [/^an order: it is as it was/, /^in force: version \d+/],
];

describe.skipIf(busy !== null)(`the demo${busy === null ? '' : ` (skipped: ${busy.endpoint.text} is in use)`}`, () => {
  it('prints commands, each of which does what stands beside it; stops on SIGINT with 0 and nothing on standard error', async () => {
    const demo = await startDemo();
    const tries = printed(demo.text);
    const prepared = /^ {2}(export .*)$/m.exec(demo.text)![1]!;
    for (const [outcome, answer] of OUTCOMES) {
      const entry = [...tries].find(([words]) => outcome.test(words));
      expect(entry, `a command for ${outcome}`).toBeDefined();
      expect(await shell(entry![1], prepared), entry![1]).toMatch(answer);
    }
    demo.child.kill('SIGINT');
    expect(await demo.end).toMatchObject({ status: 0, signal: null, stderr: '' });
  });

  it('names an edit of the file that its tests allow, and that an open connection feels', async () => {
    const demo = await startDemo();
    const [, file, line, to, from] = /in (\S+):(\d+) write "(.*)" in place of "(.*)", and run "kill -HUP \d+"/.exec(demo.text)!;
    const lines = readFileSync(join(ROOT, file!), 'utf8').split('\n');
    expect(lines[Number(line) - 1]).toContain(from);
    lines[Number(line) - 1] = lines[Number(line) - 1]!.replace(from!, to!);
    const [, admin, token] = /BULKHEAD_ADMIN=(\S+) BULKHEAD_TOKEN=(\S+)/.exec(demo.text)!;
    const open = connect({ host: '127.0.0.1', port: 6432, localAddress: '127.0.0.2' });
    open.on('error', () => undefined).write('hello');
    expect(String(await once(open, 'data'))).toBe('hello');
    const closed = new Promise((resolve) => open.once('close', resolve));
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/yaml' };
    const answer = await fetch(`${admin}/api/v1/policy`, { method: 'PUT', headers, body: lines.join('\n') });
    expect(await answer.json()).toMatchObject({ revoked: 1 });
    await closed;
  });

  it('takes no order without its token', async () => {
    await startDemo();
    expect(await shell('node_modules/.bin/bulkhead release 127.0.0.2', 'unset BULKHEAD_TOKEN')).toMatch(/takes a token/);
  });

  it('stops with 0 when Ctrl-C arrives twice at once, as it does under npm, which passes on what the terminal has sent already', async () => {
    const demo = await startDemo();
    demo.child.kill('SIGINT');
    setTimeout(() => demo.child.kill('SIGINT'), 5);
    expect(await demo.end).toMatchObject({ status: 0, signal: null });
  });

  it('started twice, says which address is in use and what to do', async () => {
    await startDemo();
    const second = await ended(startBulkhead(['demo']));
    expect(second).toMatchObject({ status: 1, stdout: '' });
    expect(second.stderr).toMatch(/^bulkhead: 127\.0\.0\.1:\d+ is in use, perhaps by another npm start: stop [^\n]+\n$/);
  });

  it.each([8080, 9900, 9002])('says that port %i is in use', async (port) => {
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    const { status, stderr } = await ended(startBulkhead(['demo']));
    other.close();
    expect(stderr).toMatch(new RegExp(`^bulkhead: 127\\.0\\.0\\.1:${port} is in use[^\\n]+\\n$`));
    expect(status).toBe(1);
  });
});
