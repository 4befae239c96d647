/** `kill -9` at random moments of an apply: the node starts on a whole version, and the audit holds. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { expect, it } from 'vitest';
import { startServer } from '../node/harness.ts';
import { bulkhead } from './bulkhead.ts';
import { startNodeProcess } from './node.ts';

const ROUNDS = 5;
/** Covers several applies, each of about ten milliseconds. */
const KILL_WITHIN_MS = 120;

it('a node that is killed while it applies starts on the last version that was answered, or on the one that was under way', async () => {
  const echo = await startServer((socket) => socket.pipe(socket));
  const node = await startNodeProcess('unix', echo.port);
  const agent = new Agent({ allowH2: false, connect: { socketPath: node.admin.slice('unix:'.length) } });
  const seed = Date.now();
  let random = seed;
  const next = () => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  try {
    let answered = 1;
    for (let round = 0; round < ROUNDS; round++) {
      const killed = new Promise((resolve) => setTimeout(() => resolve(node.kill('SIGKILL')), next() * KILL_WITHIN_MS));
      let sent = answered;
      for (;;) {
        const body = node.text(`{ name: rule-${sent + 1}, action: allow }`);
        sent++;
        const answer = await request('http://localhost/api/v1/policy', { dispatcher: agent, method: 'PUT', body }).catch(() => null);
        if (answer === null) break;
        const text = await answer.body.text().catch(() => '');
        if (answer.statusCode !== 200 || text === '') break;
        answered = (JSON.parse(text) as { version: number }).version;
      }
      await killed;
      const verified = await bulkhead(['audit', '--verify', '--state', join(node.folder, 'state')]);
      expect(verified, `seed ${seed}, round ${round}`).toMatchObject({ status: 0, stderr: '' });
      await node.start();
      const { version, rule } = await inForce(agent);
      expect([answered, answered + 1], `seed ${seed}, round ${round}`).toContain(version);
      if (version > 1) expect(rule).toBe(`rule-${version}`);
      answered = version;
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
