/** The admin endpoint while processes follow one another: whoever asks is answered, by one or the other. */
import { existsSync } from 'node:fs';
import { Agent, type RequestOptions, request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { until } from './harness.ts';
import { site } from './site.ts';

type Ask = () => Promise<number>;

/** Answers the process that answered. With an agent that keeps connections, one that was told to end is not used again. */
function asking(to: RequestOptions, keepAlive: boolean): Ask {
  const agent = new Agent({ keepAlive, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return () =>
    new Promise((resolve, reject) => {
      const asked = request({ ...to, agent, path: '/api/v1/status' }, (response) => {
        let text = '';
        response.on('data', (bytes: Buffer) => (text += bytes));
        response.on('end', () => resolve((JSON.parse(text) as { pid: number }).pid));
      });
      asked.on('error', reject);
      asked.end();
    });
}

/** More often by far than a change of hands takes. */
const PAUSE_MS = 2;

/** Asks again and again until it is told to stop; counts answers by process, and errors by code. */
function scrape(ask: Ask): { outcomes: Record<string, number>; begin(): void; stop(): Promise<void> } {
  const outcomes: Record<string, number> = {};
  let isStopped = false;
  let over = Promise.resolve();
  const askOn = async () => {
    while (!isStopped) {
      const outcome = await ask().catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  return {
    outcomes,
    begin() {
      over = askOn();
    },
    stop() {
      isStopped = true;
      return over;
    },
  };
}

describe('the admin address', () => {
  it.each([
    ['of TCP', undefined],
    ['that is a unix socket', (folder: string) => `unix:${folder}/admin.sock`],
  ])(
    '%s answers through takeovers, on new and on kept connections',
    async (_, place) => {
      const { folder, admin, start } = await site(onTestFinished, place);
      const to = place === undefined ? { host: '127.0.0.1', port: admin } : { socketPath: join(folder, 'admin.sock') };
      const scrapers = [asking(to, false), asking(to, false), asking(to, true)].map(scrape);
      const answeredBy = (pid: number) => until(() => scrapers.every(({ outcomes }) => (outcomes[pid] ?? 0) > 5), 20_000);
      const old = await start();
      for (const { begin } of scrapers) begin();
      await answeredBy(old.child.pid!);
      const running = await start('--takeover');
      expect(await old.over).toBe(0);
      await answeredBy(running.child.pid!);
      await Promise.all(scrapers.map(({ stop }) => stop()));
      const pids = [old, running].map(({ child }) => String(child.pid)).sort();
      for (const { outcomes } of scrapers) expect(Object.keys(outcomes).sort()).toEqual(pids);
      running.child.kill('SIGTERM');
      expect(await running.over).toBe(0);
      if (place !== undefined) expect(existsSync(join(folder, 'admin.sock'))).toBe(false);
    },
    60_000,
  );

  it('that the file no longer names is given up, and the new one is there', async () => {
    let place = 'one.sock';
    const { folder, start, write } = await site(onTestFinished, (folder) => `unix:${folder}/${place}`);
    const old = await start();
    expect(await asking({ socketPath: join(folder, 'one.sock') }, false)()).toBe(old.child.pid);
    place = 'two.sock';
    write();
    const running = await start('--takeover');
    expect(await asking({ socketPath: join(folder, 'two.sock') }, false)()).toBe(running.child.pid);
    expect(await old.over).toBe(0);
    expect(existsSync(join(folder, 'one.sock'))).toBe(false);
  }, 30_000);

  it('stays with a process whose follower does not start', async () => {
    const { admin, start, write } = await site(onTestFinished);
    const old = await start();
    const ask = asking({ host: '127.0.0.1', port: admin }, false);
    // Not an address of this machine (RFC 5737), and not in the inbound lane.
    write(', 192.0.2.1:80');
    await expect(start('--takeover')).rejects.toThrow('the node has ended');
    for (let i = 0; i < 20; i++) expect(await ask()).toBe(old.child.pid);
  }, 30_000);
});
