/** Real servers behind a real node: what people put behind a load balancer, with the clients that they use. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Admin, openAdmin } from '../../proxy/admin/server.ts';
import { History } from '../../proxy/observe/history.ts';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { lacks, type Program, peer, startNginx, startPostgres, startPrometheus, startRedis } from './programs.ts';

const run = promisify(execFile);
const BLOB = randomBytes(8 * 1024 * 1024);
const missing = lacks('nginx', 'redis-server', 'postgres', 'psql', 'prometheus', 'wrk');

describe.skipIf(missing)('behind a node', () => {
  let nginx: Program;
  let redis: Program;
  let postgres: Program;
  let prometheus: Program;
  let running: RunningNode;
  let admin: Admin;
  const port = { web: 0, redis: 0, postgres: 0 };

  beforeAll(async () => {
    [nginx, redis, postgres] = await Promise.all([
      startNginx(
        (listen) =>
          `server { listen 127.0.0.1:${listen}; root /nowhere; location /hello { default_type text/plain; return 200 "hello from nginx\\n"; } location /echo { add_header seen-for $http_x_forwarded_for; add_header seen-proto $http_x_forwarded_proto; return 204; } }`,
      ),
      startRedis(),
      startPostgres(),
    ]);
    port.web = await freePort();
    port.redis = await freePort();
    port.postgres = await freePort();
    running = await startNode(`
version: 1
process: { workers: 2 }
pools:
  web: { servers: [127.0.0.1:${nginx.port}], health: { type: http, path: /hello, interval: 100ms, timeout: 1s } }
  redis: { servers: [127.0.0.1:${redis.port}], health: { type: tcp, interval: 100ms } }
  postgres: { servers: [127.0.0.1:${postgres.port}] }
applications:
  shop: { vips: [127.0.0.1:${port.web}], mode: http, pool: web, rules: [{ name: customers, from: [127.0.0.1], action: allow }] }
  cache: { vips: [127.0.0.1:${port.redis}], mode: tcp, pool: redis, rules: [{ name: apps, from: [127.0.0.1], protocols: [redis], action: allow }] }
  orders: { vips: [127.0.0.1:${port.postgres}], mode: tcp, pool: postgres, rules: [{ name: apps, from: [127.0.0.1], protocols: [postgres], action: allow }] }
`);
    admin = await openAdmin(
      { kind: 'tcp', address: { family: 4, words: [0, 0, 0xffff, 0x7f000001] }, port: 0, text: '127.0.0.1:0' },
      running.node,
      new History(),
      { info() {}, warn() {}, error() {} },
    );
    prometheus = await startPrometheus(admin.address().text);
  }, 60_000);

  afterAll(async () => {
    await prometheus?.stop();
    await admin?.close();
    await running?.stop();
    await Promise.all([nginx?.stop(), redis?.stop(), postgres?.stop()]);
  }, 30_000);

  it('nginx answers through the VIP, and is told who asks', async () => {
    const answer = await fetch(`http://127.0.0.1:${port.web}/hello`);
    expect([answer.status, await answer.text()]).toEqual([200, 'hello from nginx\n']);
    const echo = await fetch(`http://127.0.0.1:${port.web}/echo`, { headers: { 'x-forwarded-for': '6.6.6.6' } });
    expect([echo.status, echo.headers.get('seen-for'), echo.headers.get('seen-proto')]).toEqual([204, '127.0.0.1', 'http']);
  });

  it('wrk and autocannon find no error, and the counters know every request', async () => {
    const before = running.application('shop').responses[1];
    const { stdout } = await run(peer('wrk'), ['-t1', '-c16', '-d2s', `http://127.0.0.1:${port.web}/hello`]);
    expect(stdout).not.toMatch(/Non-2xx|Socket errors/);
    const wrk = Number(/(\d+) requests in/.exec(stdout)?.[1]);
    const cannon = await run(process.execPath, [
      'node_modules/autocannon/autocannon.js',
      '-c',
      '8',
      '-a',
      '2000',
      '--json',
      `http://127.0.0.1:${port.web}/hello`,
    ]);
    const result = JSON.parse(cannon.stdout) as { errors: number; timeouts: number; non2xx: number; '2xx': number };
    expect(result).toMatchObject({ errors: 0, timeouts: 0, non2xx: 0, '2xx': 2000 });
    // When its time is over, each of wrk's connections has an answer that it no longer counts, or one more request under way, or both.
    await until(() => running.application('shop').flowsActive === 0);
    const counted = running.application('shop').responses[1] - before;
    expect(counted).toBeGreaterThanOrEqual(wrk + 2000);
    expect(counted).toBeLessThanOrEqual(wrk + 2000 + 2 * 16);
  });

  it('Redis is found by its first bytes and carried, pipelines and large values included', async () => {
    const client = new Redis(port.redis, '127.0.0.1', { lazyConnect: true, maxRetriesPerRequest: 0 });
    await client.connect();
    await client.set('blob', BLOB);
    const back = await client.getBuffer('blob');
    expect(createHash('sha256').update(back!).digest('hex')).toBe(createHash('sha256').update(BLOB).digest('hex'));
    const pipeline = client.pipeline();
    for (let i = 0; i < 10_000; i++) pipeline.incr('n');
    const answers = await pipeline.exec();
    expect(answers!.at(-1)).toEqual([null, 10_000]);
    await client.quit();
  });

  it('PostgreSQL is carried for psql, and a source without a rule is reset', async () => {
    const ask = (host: string, sql: string) =>
      run(peer('psql'), ['-h', host, '-p', String(port.postgres), '-U', 'postgres', '-Atc', sql], {
        env: { ...process.env, PGCONNECT_TIMEOUT: '5' },
      });
    expect((await ask('127.0.0.1', "select 6 * 7, length(repeat('x', 3000000))")).stdout).toBe('42|3000000\n');
    const load = join(postgres.folder, 'load.sql');
    writeFileSync(
      load,
      'create table t (a int, b text);\ninsert into t select i, repeat(md5(i::text), 20) from generate_series(1, 20000) i;\n',
    );
    execFileSync(peer('psql'), ['-h', '127.0.0.1', '-p', String(port.postgres), '-U', 'postgres', '-qf', load]);
    expect((await ask('127.0.0.1', 'select count(*), sum(a), sum(length(b)) from t')).stdout).toBe('20000|200010000|12800000\n');
  });

  it('a flow that is not what the rule allows never reaches the server', async () => {
    // HTTP has words for a denial, so it gets them, although the application carries bytes.
    const answer = await fetch(`http://127.0.0.1:${port.postgres}/`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain(answer.headers.get('bulkhead-receipt'));
    const denied = await running.node.recentFlows(1, true);
    expect(denied).toMatchObject([{ application: 'orders', protocol: 'http', verdict: 'deny', rule: 'default', server: null }]);
  });

  it('a server that is restarted is found again, without a restart of the node', async () => {
    const url = `http://127.0.0.1:${port.web}/hello`;
    expect((await fetch(url)).status).toBe(200);
    const conf = join(nginx.folder, 'nginx.conf');
    execFileSync(peer('nginx'), ['-c', conf, '-s', 'reload']);
    for (let i = 0; i < 200; i++) expect((await fetch(url)).status).toBe(200);
  });

  it('Prometheus scrapes it, and its sums are those of the node', async () => {
    const query = async (text: string) => {
      const answer = await fetch(`http://127.0.0.1:${prometheus.port}/api/v1/query?query=${encodeURIComponent(text)}`);
      return ((await answer.json()) as { data: { result: { value: [number, string] }[] } }).data.result;
    };
    await until(async () => (await query('up{job="bulkhead"}'))[0]?.value[1] === '1', 20_000);
    const opened = 'sum(bulkhead_flows_total{application="shop"})';
    const balance = 'sum(bulkhead_flow_duration_seconds_count{application="shop"}) + sum(bulkhead_flows_active{application="shop"})';
    await until(async () => Number((await query(opened))[0]?.value[1]) === running.application('shop').flowsOpened, 20_000);
    expect((await query(balance))[0]?.value[1]).toBe((await query(opened))[0]?.value[1]);
    expect((await query('bulkhead_server_up{pool="web"}'))[0]?.value[1]).toBe('1');
  });
});
