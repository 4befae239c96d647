import { get } from 'node:http';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeLimits, hitNodeLimit, NODE_LIMITS, type NodeLimit, readNodeLimits } from '../../proxy/shared/node-limits.ts';
import { readSources } from '../house/sources.ts';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';

const hitsOf = (limits: readonly { limit: string; hits: number }[], name: NodeLimit) => limits.find(({ limit }) => limit === name)?.hits;

describe('the limits of the node', () => {
  it.each(NODE_LIMITS)('%s is counted where it is hit', (limit) => {
    const counting = readSources().filter(({ path, text }) => path.startsWith('proxy/') && text.includes(`hitNodeLimit('${limit}')`));
    expect(counting.map(({ path }) => path)).not.toEqual([]);
  });

  it('are summed over the rows of workers and this thread', () => {
    const buffer = createNodeLimits(3);
    const before = hitsOf(readNodeLimits(buffer), 'farewells')!;
    const rows = new Float64Array(buffer);
    const slot = NODE_LIMITS.indexOf('farewells');
    for (const [worker, hits] of [2, 3, 4].entries()) rows[worker * NODE_LIMITS.length + slot] = hits;
    hitNodeLimit('farewells');
    expect(readNodeLimits(buffer).map(({ limit }) => limit)).toEqual([...NODE_LIMITS]);
    expect(hitsOf(readNodeLimits(buffer), 'farewells')).toBe(before + 10);
  });
});

describe('a node', () => {
  let running: RunningNode;
  afterAll(() => running?.stop());

  it('shows the hits of its workers', async () => {
    const port = await freePort();
    running = await startNode(`
version: 1
process: { workers: 2, admin: off, state: off }
pools: { none: { servers: [127.0.0.1:1] } }
applications: { shop: { vips: [127.0.0.1:${port}], mode: http, pool: none, rules: [{ name: never, from: [192.0.2.1], action: allow }] } }
`);
    const hits = () => hitsOf(running.node.counters().nodeLimits, 'journal-text')!;
    expect(hits()).toBe(0);
    for (const length of [2_000, 3_000, 4_000]) {
      const denied = Promise.withResolvers<number>();
      get(`http://127.0.0.1:${port}/${'x'.repeat(length)}`, { agent: false }, (response) => {
        response.resume();
        denied.resolve(response.statusCode ?? 0);
      });
      expect(await denied.promise).toBe(403);
    }
    await until(() => running.application('shop').flowsClosed === 3);
    expect(hits()).toBe(2);
  });
});
