import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Journal, openJournal } from '../../proxy/observe/journal-store.ts';
import { verifyAudit } from '../../proxy/versions/audit.ts';
import { flow } from '../admin/fake-node.ts';
import { bulkhead, startBulkhead } from '../commands/bulkhead.ts';
import { lacks, peer } from '../real/programs.ts';
import { client } from '../relay/client.ts';
import { until } from './harness.ts';
import { Load } from './load.ts';
import { pidAt, site, watch } from './site.ts';

describe('a takeover under load', () => {
  it('loses no connection and no request, whatever the numbers of workers, on TCP and on a unix socket', async () => {
    const { http, unix, admin, start } = await site(onTestFinished);
    let running = await start('--workers', '2', '--drain', '10s');
    const load = new Load();
    const loads = [
      load.connect({ port: http, host: '127.0.0.1' }, 6),
      load.connect({ path: unix }, 3),
      load.keep({ port: http, host: '127.0.0.1' }, 6, 0),
      // Idle for longer than it takes from the last word of the old process to its end.
      load.keep({ port: http, host: '127.0.0.1' }, 4, 300),
    ];
    for (const workers of ['1', '3', '2']) {
      const before = running;
      await load.progress(200);
      running = await start('--takeover', '--workers', workers, '--drain', '10s');
      expect(await before.over).toBe(0);
      expect(before.said('the drain time is over; connections that were still open are cut')).toBeUndefined();
      expect(await pidAt(admin)).toBe(running.child.pid);
      await load.progress(200);
    }
    load.stop();
    await Promise.all(loads);
    expect(load.outcomes).toEqual({ answered: expect.any(Number) });
    expect(load.closedInTurn).toBeGreaterThan(0);
  }, 60_000);

  it.skipIf(lacks('wrk'))(
    'shows wrk no error',
    async () => {
      const { http, start } = await site(onTestFinished);
      const old = await start();
      const wrk = spawn(peer('wrk'), ['-t1', '-c16', '-d4s', `http://127.0.0.1:${http}/`]);
      let said = '';
      wrk.stdout.on('data', (bytes: Buffer) => (said += bytes));
      const over = once(wrk, 'exit');
      await start('--takeover');
      expect(await old.over).toBe(0);
      await over;
      expect(said).toMatch(/[0-9]+ requests in/);
      expect(said).not.toMatch(/Socket errors|Non-2xx/);
    },
    30_000,
  );
});

it('a process that is told to stop while it is being followed is followed first', async () => {
  const { file, http, unix, start } = await site(onTestFinished);
  const old = await start();
  const load = new Load();
  const loads = [load.connect({ port: http, host: '127.0.0.1' }, 4), load.connect({ path: unix }, 2)];
  const follower = watch(startBulkhead(['run', file, '--takeover']));
  onTestFinished(() => void follower.child.kill('SIGKILL'));
  await until(() => follower.said('following a running process') !== undefined, 20_000);
  old.child.kill('SIGTERM');
  expect(await old.over).toBe(0);
  await until(() => follower.said('ready') !== undefined, 20_000);
  expect(follower.log()).not.toContain('"level":"error"');
  await load.progress(100);
  load.stop();
  await Promise.all(loads);
  expect(load.outcomes).toEqual({ answered: expect.any(Number) });
}, 30_000);

describe('what is open when a new process takes over', () => {
  it('goes on with the old one, TCP flows and upgraded connections, which ends with the last of them', async () => {
    const { http, tcp, start } = await site(onTestFinished);
    const old = await start('--drain', '5m');
    const one = client(tcp);
    const upgraded = client(http);
    one.socket.write('a');
    upgraded.socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n');
    expect(await one.bytes(1)).toBe('a');
    await until(() => upgraded.text().includes('\r\n\r\n'));
    await start('--takeover');
    const head = upgraded.text().length;
    upgraded.socket.write('frame');
    expect((await upgraded.bytes(head + 5)).slice(head)).toBe('frame');
    one.socket.end('b');
    expect(await one.bytes(2)).toBe('ab');
    expect(await one.over).toBe('end');
    expect(old.child.exitCode).toBeNull();
    upgraded.socket.end();
    expect(await old.over).toBe(0);
  }, 30_000);

  it('is cut when the drain time is over', async () => {
    const { tcp, start } = await site(onTestFinished);
    const old = await start('--drain', '500ms');
    const stays = [client(tcp), client(tcp)];
    for (const { socket } of stays) socket.write('a');
    for (const one of stays) expect(await one.bytes(1)).toBe('a');
    await start('--takeover');
    for (const one of stays) expect(await one.over).toBe('ECONNRESET');
    expect(await old.over).toBe(0);
    expect(old.said('the drain time is over; connections that were still open are cut')).toMatchObject({ connections: 2 });
  }, 30_000);
});

describe('the state folder', () => {
  it('belongs to one process: a second one is told what to do, and the first one is left alone', async () => {
    const { file, tcp, folder, start } = await site(onTestFinished);
    const first = await start();
    const second = await bulkhead(['run', file]);
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(
      new RegExp(
        `^bulkhead: the state folder ${folder}/state belongs to the running process ${first.child.pid}: stop it, add --takeover`,
        'm',
      ),
    );
    const one = client(tcp);
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
  }, 30_000);

  it('goes to the follower with its versions and an audit that holds; a folder that a dead process left is taken as it is', async () => {
    const { folder, file, start } = await site(onTestFinished);
    const first = await start();
    first.child.kill('SIGKILL');
    await first.over;
    await start('--takeover');
    for (let i = 0; i < 2; i++) await start('--takeover');
    const audit = await verifyAudit(join(folder, 'state', 'versions'));
    expect(audit).toMatchObject({ ok: true });
    const listed = await bulkhead(['versions', '--admin', `http://127.0.0.1:${adminOf(file)}`, '--json']);
    expect(JSON.parse(listed.stdout)).toMatchObject({ versions: [{ version: 1 }] });
  }, 60_000);
});

describe('the journal of two processes in one folder', () => {
  it('is one journal once the first has ended, for the second one as well, whatever it writes meanwhile', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'bulkhead-takeover-'));
    const open = () => openJournal({ directory, sizeBytes: 1 << 30, segmentBytes: 4_000, onTrouble: () => undefined });
    const append = (journal: Journal, ...receipts: string[]) => {
      for (const receipt of receipts) journal.append(Buffer.from(`${JSON.stringify(flow(receipt))}\n`), 1);
    };
    const receipts = async (journal: Journal) => (await journal.recent(1_000)).map(({ receipt }) => receipt);
    const [leaving, following] = [open(), open()];
    onTestFinished(async () => {
      await following.close();
      rmSync(directory, { recursive: true });
    });
    const late = Array.from({ length: 30 }, (_, i) => `late${i}`);
    append(following, 'first');
    await until(() => following.counts().written === 1);
    append(leaving, ...late);
    await leaving.close();
    expect(await receipts(following)).toEqual(['first']);
    // In the middle of a write, which is about to settle the list of segments.
    append(following, 'second');
    following.readFolder();
    append(following, 'third');
    await until(() => following.counts().written === 3);
    const found = await receipts(following);
    expect(found.slice(0, 3)).toEqual(['third', 'second', 'first']);
    expect(new Set(found)).toEqual(new Set(['first', 'second', 'third', ...late]));
    expect(found.length).toBe(33);
  });
});

function adminOf(file: string): string {
  return /admin: \{ listen: "127\.0\.0\.1:([0-9]+)/.exec(readFileSync(file, 'utf8'))![1]!;
}

describe('a follower that cannot start', () => {
  it('leaves everything with the process that it came to follow, which can be followed again', async () => {
    const { file, tcp, start, write } = await site(onTestFinished);
    const old = await start();
    // Not an address of this machine (RFC 5737).
    write(', 192.0.2.1:80');
    const text = readFileSync(file, 'utf8').replace('process: {', 'networks: { inbound: [0.0.0.0/0] }\nprocess: {');
    writeFileSync(file, text);
    const failed = await bulkhead(['run', file, '--takeover']);
    expect(failed.stderr).toMatch(/192\.0\.2\.1:80 is not an address of this machine/);
    expect(failed.status).toBe(1);
    await until(() => old.said('a process that came to take over did not; this one carries on') !== undefined);
    for (let i = 0; i < 8; i++) {
      const one = client(tcp);
      one.socket.end('x');
      expect(await one.bytes(1)).toBe('x');
    }
    write();
    await start('--takeover');
    expect(await old.over).toBe(0);
  }, 60_000);

  it('since it is told to stop in between, leaves every path and socket where it was', async () => {
    const { file, tcp, unix, start } = await site(onTestFinished);
    const old = await start();
    const follower = watch(startBulkhead(['run', file, '--takeover']));
    onTestFinished(() => void follower.child.kill('SIGKILL'));
    await until(() => follower.said('following a running process') !== undefined, 20_000);
    follower.child.kill('SIGTERM');
    expect(await follower.over).toBe(1);
    expect(follower.log()).toContain('bulkhead: told to stop before it had taken over; the running process goes on');
    expect(old.child.exitCode).toBeNull();
    const load = new Load();
    await Promise.race([load.connect({ path: unix }, 2), load.progress(20)]);
    load.stop();
    const one = client(tcp);
    one.socket.end('x');
    expect(await one.bytes(1)).toBe('x');
    expect(load.outcomes).toEqual({ answered: expect.any(Number) });
  }, 30_000);

  it.each([
    ['a file without a state folder', 'process: { workers: 1, admin: off, state: off }', /set process\.state to a folder/],
    [
      'a path with no room for a socket',
      `process: { workers: 1, admin: off, state: /tmp/${'x'.repeat(100)} }`,
      /use a shorter process\.state/,
    ],
  ])('says why: %s', async (_, settings, why) => {
    const { file } = await site(onTestFinished);
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^process:.*$/m, settings));
    const { status, stderr } = await bulkhead(['run', file, '--takeover']);
    expect(stderr).toMatch(why);
    expect(status).toBe(1);
  });
});

it('SIGUSR2 starts a follower with the same words', async () => {
  const { http, admin, start } = await site(onTestFinished);
  const old = await start('--workers', '1');
  const load = new Load();
  const loading = load.connect({ port: http, host: '127.0.0.1' }, 4);
  old.child.kill('SIGUSR2');
  expect(await old.over).toBe(0);
  const follower = old.said('a new process was started to take over')?.pid;
  onTestFinished(() => void process.kill(Number(follower), 'SIGKILL'));
  // The old process is gone, so that nobody else can have the address.
  expect(await pidAt(admin)).toBe(follower);
  await load.progress(100);
  load.stop();
  await loading;
  expect(load.outcomes).toEqual({ answered: expect.any(Number) });
}, 30_000);
