/**
 * Requests without a pause, of clients that connect anew, of clients that keep their connection and of wrk, while the file changes under them: by SIGHUP,
 * by `bulkhead apply`, and by processes that follow one another. Every request has to be answered.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bulkhead } from '../commands/bulkhead.ts';
import { freePort, until } from '../node/harness.ts';
import { Load } from '../node/load.ts';
import { type Running, type Site, site } from '../node/site.ts';
import { findPeer } from '../peers.ts';

export interface ReloadsSettings {
  readonly seconds: number;
  /** Every so many changes a new process takes over; 0: none does. */
  readonly takeoverEvery: number;
  readonly progress?: (line: string) => void;
}

export interface ReloadsReport {
  readonly reloads: number;
  readonly applies: number;
  readonly takeovers: number;
  readonly answered: number;
  /** Requests of wrk; null where it is not on the machine. */
  readonly wrkRequests: number | null;
  /** What must not be; empty where all is well. */
  readonly faults: readonly string[];
}

const START_MS_MAX = 30_000;

export async function reloads({ seconds, takeoverEvery, progress }: ReloadsSettings): Promise<ReloadsReport> {
  const ends: (() => Promise<void>)[] = [];
  const report = { reloads: 0, applies: 0, takeovers: 0, answered: 0, wrkRequests: null as number | null, faults: [] as string[] };
  try {
    const place = await site(
      (end) => ends.push(end),
      (folder) => `unix:${folder}/admin.sock`,
    );
    const extra = await freePort();
    const change = (number: number) => writeFileSync(place.file, variantOf(place, extra, number));
    change(0);
    let running = await place.start('--drain', '20s');
    const load = new Load();
    const loads = [
      load.connect({ port: place.http, host: '127.0.0.1' }, 4),
      load.connect({ path: place.unix }, 2),
      load.keep({ port: place.http, host: '127.0.0.1' }, 4, 0),
      load.keep({ port: place.http, host: '127.0.0.1' }, 4, 100),
    ];
    const wrk = startWrk(place.http, seconds);
    const over = performance.now() + seconds * 1_000;
    for (let number = 1; performance.now() < over; number++) {
      await load.progress(20);
      change(number);
      if (takeoverEvery > 0 && number % takeoverEvery === 0) {
        const before = running;
        running = await place.start('--takeover', '--drain', '20s');
        if ((await before.over) !== 0) report.faults.push(`change ${number}: the process that was followed ended badly: ${before.log()}`);
        report.takeovers++;
      } else if (number % 2 === 0) {
        const { status, stderr } = await bulkhead(['apply', place.file, '--admin', `unix:${join(place.folder, 'admin.sock')}`]);
        if (status !== 0) report.faults.push(`change ${number} could not be applied: ${stderr}`);
        report.applies++;
      } else {
        await reload(running);
        report.reloads++;
      }
      if (number % 50 === 0) progress?.(`${number} changes, ${load.outcomes.answered} requests`);
    }
    report.wrkRequests = await wrk(report.faults);
    load.stop();
    await Promise.all(loads);
    const { answered = 0, ...others } = load.outcomes;
    report.answered = answered;
    if (Object.keys(others).length > 0) report.faults.push(`requests that were not answered: ${JSON.stringify(others)}`);
    if (report.takeovers === 0 && load.closedInTurn > 0)
      report.faults.push(`${load.closedInTurn} kept connections were closed by a change`);
  } finally {
    for (const end of ends) await end();
  }
  return report;
}

/** By SIGHUP; every file differs from the one before, so there is a new generation when it is in force. */
async function reload(running: Running): Promise<void> {
  const generation = () => Number(running.said('policy in force')?.generation ?? 0);
  const before = generation();
  running.child.kill('SIGHUP');
  await until(() => generation() > before, START_MS_MAX);
}

/** Every part of a policy changes now and then, and nothing that the load asks for is ever denied. */
function variantOf({ file: _, folder, http, tcp, unix, server }: Site, extra: number, number: number): string {
  const balance = ['round-robin', 'least-connections', 'random-two', 'source-hash'][number % 4];
  const rules = `[{ name: no-${number % 5}, from: [192.0.2.${number % 250}], http: { paths: [/x${number % 3}/*] }, action: deny }, { name: all, action: allow }]`;
  const more = number % 3 === 0 ? `, 127.0.0.1:${extra}` : '';
  return `version: 1
process: { workers: 2, state: ${folder}/state, admin: { listen: "unix:${folder}/admin.sock" } }
pools: { web: { servers: [{ address: 127.0.0.1:${server}, weight: ${1 + (number % 7)} }], balance: ${balance} } }
applications:
  web:
    vips: [127.0.0.1:${http}, "unix:${unix}"${more}]
    mode: http
    pool: web
    timeouts: { keep-alive: ${30 + number}s }
    rules: ${rules}
  echo: { vips: [127.0.0.1:${tcp}], mode: tcp, pool: web, rules: [{ name: all-${number % 11}, action: allow }] }
`;
}

/** Answers what waits for its end, and adds what it complained of. */
function startWrk(port: number, seconds: number): (faults: string[]) => Promise<number | null> {
  const path = findPeer('wrk');
  if (path === null) return () => Promise.resolve(null);
  const child = spawn(path, ['-t1', '-c8', `-d${seconds}s`, `http://127.0.0.1:${port}/`]);
  let said = '';
  child.stdout.on('data', (bytes: Buffer) => (said += bytes));
  const over = once(child, 'exit');
  return async (faults) => {
    await over;
    const complaint = /(Socket errors|Non-2xx).*/.exec(said);
    if (complaint !== null) faults.push(`wrk: ${complaint[0]}`);
    return Number(/([0-9]+) requests in/.exec(said)?.[1] ?? 0);
  };
}
