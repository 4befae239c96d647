/** Renewals of the policy in force that fail. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Renewal, type Why } from '../../proxy/node/renewal.ts';
import type { Swaps } from '../../proxy/node/swaps.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import { documentOf, freePort, startNode, startServer, until } from './harness.ts';

const RETRY_MS = 5_000;
const NO_MEMORY = new RangeError('Array buffer allocation failed');

const file = (until: string, server = 1, port = 10_000) => `
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server}] } }
applications: { app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, rules: [{ name: all, action: allow, until: "${until}" }] } }
`;

describe('a renewal that fails', () => {
  let asked: Why[];
  let errors: object[];
  let renewal: Renewal;

  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    renewal.stop();
    vi.useRealTimers();
  });

  /** The first `failures` renewals fail. */
  function made(failures: number): void {
    asked = [];
    errors = [];
    const log: Logger = { info() {}, warn() {}, debug() {}, flush() {}, error: (fields: object) => void errors.push(fields) };
    const renew = async (why: Why) => {
      if (asked.push(why) <= failures) throw NO_MEMORY;
    };
    renewal = new Renewal(log, renew, () => false, { retryMs: RETRY_MS });
  }

  it('is tried again until it has come about, and told once', async () => {
    made(3);
    renewal.due('certificates');
    await vi.advanceTimersByTimeAsync(RETRY_MS - 1);
    expect(asked.length).toBe(1);
    await vi.advanceTimersByTimeAsync(20 * RETRY_MS);
    expect(asked).toEqual(['certificates', 'certificates', 'certificates', 'certificates']);
    expect(errors).toEqual([{ why: 'certificates', error: String(NO_MEMORY) }]);
  });

  it('is tried no more often where more changes come meanwhile', async () => {
    made(Number.POSITIVE_INFINITY);
    for (let i = 0; i < 5; i++) renewal.due('sources');
    await vi.advanceTimersByTimeAsync(3 * RETRY_MS);
    expect(asked.length).toBe(5 + 3);
  });

  it('is given up when the node leaves', async () => {
    made(Number.POSITIVE_INFINITY);
    renewal.due('sources');
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    renewal.stop();
    await vi.advanceTimersByTimeAsync(10 * RETRY_MS);
    expect([asked.length, vi.getTimerCount()]).toEqual([2, 0]);
  });

  it('does not end the look at schedules', async () => {
    made(0);
    const document = documentOf(file(new Date(Date.now() + 10_000).toISOString()));
    // Neither comes into force nor fails: what would set the time anew does not come.
    renewal.watch(document, renewal.resolve(document), renewal.compile(document));
    await vi.advanceTimersByTimeAsync(10_001);
    expect(asked).toEqual(['schedule']);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(asked).toEqual(['schedule', 'schedule']);
  });
});

it('a node goes on to the policy whose first renewal has failed', async () => {
  const backend = await startServer((socket) => socket.pipe(socket));
  const { node, stop, logged } = await startNode(file('2999-01-01T00:00:00Z', backend.port, await freePort()), { retryMs: 40 });
  onTestFinished(async () => {
    await stop();
    await backend.close();
  });
  const { generation } = node.policy();
  const { swaps, renewal } = node as unknown as { swaps: Pick<Swaps, 'to'>; renewal: Renewal };
  const to = swaps.to.bind(swaps);
  let tries = 0;
  swaps.to = (...of) => (tries++ === 0 ? Promise.reject(NO_MEMORY) : to(...of));
  renewal.due('sources');
  await until(() => node.policy().generation > generation);
  expect([tries, node.readiness().ready]).toEqual([2, true]);
  await until(() => logged.some(({ message }) => message === 'the policy could be renewed after all'));
});
