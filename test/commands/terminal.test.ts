/** What commands print into a terminal of 80 columns, and into a pipe. A small server stands for the node. */
import { execFile, spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Status } from '../../proxy/admin/schemas.ts';
import { screen } from '../../proxy/commands/top-screen.ts';
import { flow } from '../admin/fake-node.ts';
import { bulkhead, ROOT } from './bulkhead.ts';

const RECEIPT = 'a1b2c3d40-1';
const PATH = `/a/path/${'that-goes-on/'.repeat(6)}index.html`;
const FLOW = flow(RECEIPT, { source: '192.0.2.7:40000', rule: 'a-rule-with-quite-a-long-name', path: PATH });
const WHY = 'quarantine-2: 198.51.100.7/32: it scans the shop again and again, and somebody has to look at it before it is let in again';
const ENTRY = {
  n: 1,
  time: '2026-11-22T14:00:00.000Z',
  who: 'ana',
  role: 'admin',
  from: '192.0.2.7:40000',
  action: 'quarantine',
  outcome: 'done',
  version: 2,
  detail: WHY,
};

let node: Server;
let admin: string;

beforeAll(async () => {
  node = createServer((request, response) => {
    if (request.url?.startsWith('/api/v1/events')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      // As a node does that is killed.
      response.write(`event: flow\ndata: ${JSON.stringify(FLOW)}\n\n`, () => response.destroy());
      return;
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(request.url?.startsWith('/api/v1/audit') ? { entries: [ENTRY] } : { live: false, flows: [FLOW], next: null }),
    );
  });
  await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve));
  admin = `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
});
afterAll(() => node.close());

const hasTerminals = spawnSync('script', ['--version']).error === undefined;

/** The lines that a command prints where its output is a terminal. */
async function inTerminal(columns: number, ...words: string[]): Promise<string[]> {
  const command = `stty cols ${columns}; '${process.execPath}' '${join(ROOT, 'proxy/main.ts')}' ${words.join(' ')} --admin ${admin}`;
  // script ends with the status of the command only with -e: a command that says no is no error here.
  const { stdout } = await promisify(execFile)('script', ['-qc', command, '/dev/null'], { env: { ...process.env, NO_COLOR: '1' } });
  return stdout.replaceAll('\r', '').trimEnd().split('\n');
}

describe.skipIf(!hasTerminals)('in a terminal', () => {
  it.each(['flows', 'flows --follow', 'audit'])(
    'of 80 columns %s is no wider, and names what it is asked for',
    { concurrent: true },
    async (words) => {
      const lines = await inTerminal(80, ...words.split(' '));
      const told = lines.filter((line) => !line.startsWith('bulkhead: '));
      expect(told.length).toBeGreaterThan(1);
      expect(Math.max(...told.map((line) => line.length))).toBeLessThanOrEqual(80);
      if (words === 'audit')
        expect(
          told
            .slice(2)
            .map((line) => line.trim())
            .join(' '),
        ).toBe(WHY);
      else expect(told[1]).toContain(RECEIPT);
    },
  );

  it.each([
    ['of 80 columns, asked for everything', 80, ['flows', '--wide']],
    ['that is wide enough', 400, ['flows']],
  ] as const)('%s, nothing is shortened or left out', { concurrent: true }, async (_, columns, words) => {
    expect(await inTerminal(columns, ...words)).toEqual((await bulkhead(['flows', '--admin', admin])).stdout.trimEnd().split('\n'));
  });
});

describe('in a pipe', () => {
  it('a row is whole, however long it is', async () => {
    const { stdout } = await bulkhead(['flows', '--admin', admin]);
    for (const text of [PATH, FLOW.rule!, FLOW.time.slice(0, 23).replace('T', ' '), FLOW.vip, RECEIPT]) expect(stdout).toContain(text);
  });

  it('what follows a node that is killed ends with one line, and 1', async () => {
    const { stdout, stderr, status } = await bulkhead(['flows', '--follow', '--admin', admin]);
    expect(stdout).toContain(RECEIPT);
    expect([status, stderr]).toEqual([
      1,
      expect.stringMatching(/^bulkhead: http:[^\n]+ has ended the events: the node has stopped[^\n]+\n$/),
    ]);
  });
});

describe('top', () => {
  const rates = { opened: 12_000, denied: 1_200, requests: 12_000, bytes_in: 120_000_000, bytes_out: 130_000_000 };
  const applications = ['shop', 'a-shop-with-quite-a-long-name'].map((application) => ({
    application,
    flows_active: 1_234,
    flows_opened: 1,
    rates,
    verdicts: { allow: 1, deny: 12_345 },
    bytes_in: 1,
    bytes_out: 1,
    error_share: 0.25,
    latency: { p99_seconds: 1.2 },
  }));
  // What the screen reads of a status.
  const seen = {
    node: 'edge-1',
    generation: 3,
    ready: true,
    uptime_seconds: 90,
    now: '2026-11-22T14:00:00.000Z',
    totals: { flows_active: 1_234, rates },
    applications,
    flows: { error: null, live: [FLOW], denied: [FLOW] },
  } as unknown as Status;

  it.each([60, 80, 120])('in %i columns shows rates, bytes and ages, and cuts no line off', (columns) => {
    const whole = screen(seen, 'bytes', null, null);
    const lines = screen(seen, 'bytes', columns, 24);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    const heads = lines.filter((line) => /^(?:application|live flows|source) /.test(line));
    expect(heads.map((line) => line.trim().split(/ {2,}/))).toEqual([
      expect.arrayContaining(['application', 'live', 'new/s', 'in/s', 'out/s']),
      expect.arrayContaining(['source', 'in', 'out', 'age']),
    ]);
    const ages = (all: readonly string[]) => all.find((line) => line.includes('192.0.2.7:40000'))!.slice(-3);
    expect(ages(lines)).toBe(ages(whole));
    expect(lines).toHaveLength(24);
  });
});
