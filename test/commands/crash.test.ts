/** `kill -9` at random moments of an apply: the node starts on a whole version, and the audit holds. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { expect, it } from 'vitest';
import { startServer } from '../node/harness.ts';
import { bulkhead } from './bulkhead.ts';
import { startNodeProcess } from './node.ts';

const ROUNDS = 5;
/** That are answered before the one in which, or near which, the node is killed. */
const APPLIES_MAX = 8;

it('a node that is killed while it applies starts on the last version that was answered, or on the one that was under way', async () => {
  const echo = await startServer((socket) => socket.pipe(socket));
  const node = await startNodeProcess('unix', echo.port);
  const agent = new Agent({ allowH2: false, connect: { socketPath: node.admin.slice('unix:'.length) } });
  const seed = Date.now();
  let random = seed;
  const next = () => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  try {
    let answered = 1;
    // A number that the audit knows is not given out again, though its version was lost: rules are counted apart.
    let kept = 'all';
    let sent = 1;
    let begun = performance.now();
    for (let round = 0; round < ROUNDS; round++) {
      const whole = Math.ceil(next() * APPLIES_MAX);
      let killed: Promise<unknown> | null = null;
      let underWay = kept;
      for (let applies = 0; ; applies++) {
        underWay = `rule-${++sent}`;
        // As long as an apply takes here and now, and half as long again.
        const killIn = next() * 1.5 * (performance.now() - begun);
        begun = performance.now();
        if (applies === whole) killed = new Promise((resolve) => setTimeout(() => resolve(node.kill('SIGKILL')), killIn));
        const body = node.text(`{ name: ${underWay}, action: allow }`);
        const answer = await request('http://localhost/api/v1/policy', { dispatcher: agent, method: 'PUT', body }).catch(() => null);
        if (answer === null) break;
        const text = await answer.body.text().catch(() => '');
        if (answer.statusCode !== 200 || text === '') break;
        answered = (JSON.parse(text) as { version: number }).version;
        kept = underWay;
      }
      expect(killed, `seed ${seed}, round ${round}`).not.toBeNull();
      await killed;
      const verified = await bulkhead(['audit', '--verify', '--state', join(node.folder, 'state')]);
      expect(verified, `seed ${seed}, round ${round}`).toMatchObject({ status: 0, stderr: '' });
      await node.start();
      const { version, rule } = await inForce(agent);
      expect(version, `seed ${seed}, round ${round}`).toBeGreaterThanOrEqual(answered);
      expect(rule, `seed ${seed}, round ${round}`).toBe(version === answered ? kept : underWay);
      answered = version;
      kept = rule;
    }
    expect(answered).toBeGreaterThan(ROUNDS);
  } finally {
    await agent.destroy();
    await node.kill('SIGKILL');
    await echo.close();
    rmSync(node.folder, { recursive: true, force: true });
  }
}, 90_000);

async function inForce(agent: Agent): Promise<{ version: number; rule: string }> {
  const get = async (path: string) => (await request(`http://localhost${path}`, { dispatcher: agent })).body.json();
  const { versions } = (await get('/api/v1/versions')) as { versions: { version: number }[] };
  const { document } = (await get('/api/v1/policy')) as { document: { applications: { shop: { rules: { name: string }[] } } } };
  return { version: versions[0]!.version, rule: document.applications.shop.rules[0]!.name };
}
