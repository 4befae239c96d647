import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Service } from '../../proxy/node/service.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import { ended, ROOT, startBulkhead } from '../commands/bulkhead.ts';
import { lacks, peer } from '../real/programs.ts';
import { freePort, until } from './harness.ts';

/** Node has no datagrams on unix sockets, so the manager of these tests is a few lines of Perl. */
const MANAGER = `$| = 1; $p = $ARGV[0]; $p =~ s/^@/\\0/; socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, pack_sockaddr_un($p)) or die "bind: $!";
print "listening\\n"; while (defined(recv(S, $b, 65536, 0))) { $b =~ s/\\n/ | /g; print "$b\\n" }`;

const isMissing = lacks('perl', 'systemd-notify');

/** Listens where NOTIFY_SOCKET points to; `told` are the messages so far, their lines joined by bars. */
async function manager(socket: string): Promise<{ told: () => string[] }> {
  const child = spawn(peer('perl'), ['-MSocket', '-e', MANAGER, socket]);
  let text = '';
  child.stdout.on('data', (bytes: Buffer) => (text += bytes));
  onTestFinished(() => void child.kill('SIGKILL'));
  await until(() => text.includes('listening\n'), 10_000);
  // The barrier of systemd-notify waits until the manager has read everything; it says nothing itself.
  return {
    told: () =>
      text
        .split('\n')
        .slice(1, -1)
        .filter((line) => !line.startsWith('BARRIER=1')),
  };
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'bulkhead-service-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const said: string[] = [];
const note = (_: object, message: string) => void said.push(message);
const LOG: Logger = { info: note, warn: note, error: note, debug: note, flush() {} };

describe.skipIf(isMissing)('the service manager', () => {
  it.each(['path', 'abstract'])(
    'is told of start, reload, being alive and stopping, on a socket that is %s',
    async (kind) => {
      const home = folder();
      const socket = kind === 'path' ? join(home, 'notify') : `@bulkhead-test-${process.pid}`;
      const { told } = await manager(socket);
      const file = join(home, 'bulkhead.yaml');
      const port = await freePort();
      const write = (more: string) =>
        writeFileSync(
          file,
          `version: 1
process: { workers: 1, admin: off, state: ${home}/state }
pools: { web: { servers: [127.0.0.1:9] } }
applications: { web: { vips: [127.0.0.1:${port}], mode: tcp, pool: web, rules: [{ name: all, action: allow }] } }
${more}`,
        );
      write('');
      const start = (...words: string[]) => {
        const child = startBulkhead(['run', file, '--drain', '1s', ...words], { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '400000' });
        onTestFinished(() => void child.kill('SIGKILL'));
        return child;
      };
      const saw = (text: string) => until(() => told().some((line) => line.includes(text)), 20_000);
      const child = start();
      await saw(`READY=1 | MAINPID=${child.pid} | STATUS=generation 1 in force; 1 VIPs, 1 workers`);
      await saw('WATCHDOG=1');
      write('broken: yes');
      child.kill('SIGHUP');
      await saw(`READY=1 | MAINPID=${child.pid} | STATUS=the file is not applied; the last good policy stays in force`);
      const reloading = told().find((line) => line.startsWith('RELOADING=1'))!;
      const microseconds = Number(/MONOTONIC_USEC=([0-9]+)/.exec(reloading)![1]);
      const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
      expect(Math.abs(microseconds / 1e6 - uptime)).toBeLessThan(20);
      write('');
      const follower = start('--takeover');
      await saw(`READY=1 | MAINPID=${follower.pid}`);
      await once(child, 'exit');
      // The service goes on: that its first process leaves is nobody's business.
      expect(told().filter((line) => line.startsWith('STOPPING'))).toEqual([]);
      follower.kill('SIGTERM');
      await saw('STOPPING=1 | STATUS=draining');
      expect(await once(follower, 'exit')).toEqual([0, null]);
    },
    60_000,
  );

  it('is told no more than it takes, in order; what is dropped is said', async () => {
    const { told } = await manager(join(folder(), 'notify'));
    expect(told()).toEqual([]);
    said.length = 0;
    const service = new Service({ ...process.env, NOTIFY_SOCKET: '/nowhere/at/all' }, LOG);
    for (let i = 0; i < 40; i++) service.ready(`${i}`);
    await service.close();
    expect(said).toEqual([
      expect.stringMatching(/^the service manager cannot be told: READY=1 MAINPID=\d+ STATUS=1 was not told: earlier/),
    ]);
  });
});

it('a machine without systemd-notify costs a line in the log, and a process that nobody asks is silent', async () => {
  said.length = 0;
  const silent = new Service({}, LOG);
  silent.ready('x');
  silent.watch(() => Promise.resolve(true));
  await silent.close();
  expect(said).toEqual([]);
  const service = new Service({ PATH: '/nowhere', NOTIFY_SOCKET: '/run/nothing' }, LOG);
  service.ready('x');
  service.stopping('y');
  await service.close();
  expect(said).toEqual([expect.stringMatching(/^the service manager cannot be told: systemd-notify cannot be run .* install systemd/)]);
});

it('a process that is out of descriptors says that it cannot tell its manager, and lives', async () => {
  const script = `
    import { openSync } from 'node:fs';
    import { Service } from '${new URL('../../proxy/node/service.ts', import.meta.url)}';
    const service = new Service({ ...process.env, NOTIFY_SOCKET: '/run/nothing' }, { error: (_, message) => console.log(message) });
    try { for (;;) openSync('/dev/null'); } catch {}
    for (const status of ['x', 'y']) {
      service.ready(status);
      await service.close();
    }
    console.log('alive');`;
  const limited = ['-c', 'ulimit -n 64 && exec "$0" "$@"', process.execPath, '--input-type=module', '--eval', script];
  const { stdout, stderr } = await ended(spawn('sh', limited));
  expect(stdout, stderr).toMatch(/^the service manager cannot be told: systemd-notify cannot be run \(.*EMFILE\)\nalive\n$/);
});

it('a watchdog hears nothing of a node whose workers do not answer, or of a process that it does not watch', async () => {
  said.length = 0;
  const asked: string[] = [];
  const isAlive = (who: string) => async () => {
    asked.push(who);
    return false;
  };
  const env = { NOTIFY_SOCKET: '/run/nothing', WATCHDOG_USEC: '20000' };
  const [mine, other] = [new Service({ ...env, WATCHDOG_PID: String(process.pid) }, LOG), new Service({ ...env, WATCHDOG_PID: '1' }, LOG)];
  mine.watch(isAlive('mine'));
  other.watch(isAlive('other'));
  await until(() => asked.length > 2);
  await mine.close();
  await other.close();
  expect(new Set(asked)).toEqual(new Set(['mine']));
  expect(new Set(said)).toEqual(new Set(['a worker gives no answer; the service manager is not told that this node is alive']));
});

describe.skipIf(lacks('systemd-analyze'))('the unit files', () => {
  it('are units that systemd reads, and harden the service', async () => {
    const run = async (...words: string[]) => {
      const child = spawn(peer('systemd-analyze'), words, { cwd: ROOT });
      let text = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (text += bytes));
      await once(child, 'close');
      return text;
    };
    const complaints = (await run('verify', 'config/bulkhead.service', 'config/bulkhead.socket')).split('\n').filter(Boolean);
    // Nothing is installed in /opt here; everything else would be a mistake of the units.
    expect(complaints.filter((line) => !line.includes('/opt/bulkhead/proxy/runtime/bulkhead.sh is not executable'))).toEqual([]);
    const exposure = await run('security', '--offline=true', '--no-pager', 'config/bulkhead.service');
    expect(Number(/Overall exposure level for bulkhead\.service: ([0-9.]+)/.exec(exposure)?.[1])).toBeLessThan(2);
  }, 20_000);
});
