/** Real clients and servers of databases, judged by what they say. */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { lacks, type Program, peer, startMariadb, startPostgres, startRedis } from '../real/programs.ts';
import { client } from '../relay/client.ts';
import { Authority } from '../tls/authority.ts';

const run = promisify(execFile);

/** What a program says, whether it succeeds or not. */
async function said(binary: string, args: string[], env: Record<string, string> = {}, input = ''): Promise<string> {
  const child = run(peer(binary), args, { env: { ...process.env, ...env }, timeout: 20_000 });
  // It may have ended without a look at what it is given.
  child.child.stdin?.on('error', () => undefined);
  child.child.stdin?.end(input);
  const { stdout, stderr } = await child.catch((error) => error as { stdout: string; stderr: string });
  return `${stdout}${stderr}`.trim();
}

describe.skipIf(lacks('postgres', 'psql', 'pgbench'))('PostgreSQL', () => {
  let postgres: Program;
  let running: RunningNode;
  let port = 0;
  beforeAll(async () => {
    postgres = await startPostgres();
    port = await freePort();
    running = await startNode(`
version: 1
process: { workers: 2 }
pools: { p: { servers: [127.0.0.1:${postgres.port}] } }
applications:
  db:
    vips: [127.0.0.1:${port}]
    mode: tcp
    pool: p
    rules:
      - { name: no-template, postgres: { databases: [template*] }, action: deny }
      - { name: owner, postgres: { users: [postgres, app_*], databases: [postgres] }, action: allow }
`);
    await said('psql', ['-h', '127.0.0.1', '-p', String(postgres.port), '-U', 'postgres', '-c', 'create role app_web login']);
  }, 60_000);
  afterAll(async () => {
    await running?.stop();
    await postgres?.stop();
  }, 30_000);

  const psql = (user: string, database: string, more = '', sql = 'select current_user') =>
    said('psql', ['-At', `host=127.0.0.1 port=${port} user=${user} dbname=${database} connect_timeout=5 ${more}`, '-c', sql]);

  it('users and databases that a rule names are carried', async () => {
    expect(await psql('postgres', 'postgres')).toBe('postgres');
    expect(await psql('app_web', 'postgres')).toBe('app_web');
    expect(await psql('postgres', 'postgres', 'sslmode=disable gssencmode=disable', "select length(repeat('x', 3000000))")).toBe('3000000');
  });

  it.each([
    ['another user', 'eve', 'postgres', 'default'],
    ['another database', 'postgres', 'other', 'default'],
    ['a database that a rule denies', 'postgres', 'template1', 'no-template'],
  ])('%s gets an error that psql prints, with its receipt, and no server is dialled', async (_what, user, database, rule) => {
    const dialled = running.node.servers()[0]!.dials.connected;
    const words = await psql(user, database);
    const receipt = /FATAL: {2}denied by policy, receipt (\S+)/.exec(words)?.[1];
    expect(receipt, words).toBeDefined();
    const record = (await running.node.recentFlows(10, true)).find((flow) => flow.receipt === receipt);
    expect(record).toMatchObject({ rule, verdict: 'deny', protocol: 'postgres', server: null });
    expect(running.node.servers()[0]!.dials.connected).toBe(dialled);
  });

  it('where the application has TLS, it ends here: for who asks first, and the user is judged within', async () => {
    const authority = new Authority();
    const { certificate, key } = authority.issue({ names: ['IP:127.0.0.1'] });
    const secure = await freePort();
    const node = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${postgres.port}] } }
applications:
  db:
    vips: [127.0.0.1:${secure}]
    mode: tcp
    pool: p
    tls: { certificates: [{ certificate: ${certificate}, key: ${key} }] }
    rules: [{ name: owner, postgres: { users: [postgres] }, action: allow }]
`);
    const ask = (user: string, more: string) =>
      said('psql', ['-At', `host=127.0.0.1 port=${secure} user=${user} dbname=postgres connect_timeout=5 ${more}`, '-c', "select 'in'"]);
    const verified = `sslmode=verify-full sslrootcert=${authority.ca}`;
    expect(await ask('postgres', verified)).toBe('in');
    expect(await ask('eve', verified)).toMatch(/FATAL: {2}denied by policy, receipt /);
    expect(await ask('postgres', 'sslmode=disable')).not.toBe('in');
    expect((await node.node.recentFlows(10, false)).find((flow) => flow.rule === 'owner')).toMatchObject({
      protocol: 'postgres',
      tls: '1.3',
    });
    await node.stop();
    authority.remove();
  });

  it('a client that insists on encryption is told that there is none', async () => {
    expect(await psql('postgres', 'postgres', 'sslmode=require')).toMatch(/server does not support SSL/);
  });

  it('a query is cancelled by whoever has its key, by whatever worker the request comes', async () => {
    for (let i = 0; i < 6; i++) {
      const args = ['-At', `host=127.0.0.1 port=${port} user=postgres dbname=postgres connect_timeout=5`, '-c', 'select pg_sleep(20)'];
      const child = spawn(peer('psql'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
      let words = '';
      child.stderr.on('data', (part) => (words += part));
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await until(
        async () =>
          (await psql(
            'postgres',
            'postgres',
            '',
            "select count(*) from pg_stat_activity where query like '%sleep(20)' and state = 'active'",
          )) === '1',
      );
      child.kill('SIGINT');
      await ended;
      expect(words).toMatch(/canceling statement due to user request/);
    }
  }, 20_000);

  it('a key that no session has leads nowhere', async () => {
    const dialled = running.node.servers()[0]!.dials.connected;
    const one = client(port);
    one.socket.write(Buffer.from('000000 1004d2162e000004d2deadbeef'.replace(' ', ''), 'hex'));
    expect(await one.over).toBe('end');
    expect(running.node.servers()[0]!.dials.connected).toBe(dialled);
  });

  it('pgbench runs through', async () => {
    const args = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', 'postgres'];
    expect(await said('pgbench', ['-i', '-q', ...args])).toMatch(/done in/);
    expect(await said('pgbench', ['-c', '4', '-t', '25', '-n', ...args])).toMatch(/100\/100/);
  });

  it('a user whom a new policy denies is cut, and nobody else', async () => {
    // Those of the tests before may still be closing.
    await until(() => running.application('db').flowsActive === 0);
    const cut = psql('app_web', 'postgres', '', 'select pg_sleep(10)');
    const kept = psql('postgres', 'postgres', '', "select pg_sleep(1), 'whole'");
    await until(() => running.application('db').flowsActive === 2);
    const text = `
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${postgres.port}] } }
applications:
  db: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, rules: [{ name: owner, postgres: { users: [postgres] }, action: allow }] }
`;
    expect(await running.apply(text)).toMatchObject({ ok: true });
    expect(await cut).toMatch(/closed the connection unexpectedly|reset by peer/i);
    expect(await kept).toBe('|whole');
  });
});

describe.skipIf(lacks('redis-server', 'redis-cli', 'redis-benchmark'))('Redis', () => {
  let redis: Program;
  let running: RunningNode;
  let port = 0;
  beforeAll(async () => {
    redis = await startRedis();
    port = await freePort();
    await said('redis-cli', ['-p', String(redis.port), 'acl', 'setuser', 'ana', 'on', '>secret', '~*', '+@all']);
    running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${redis.port}] } }
applications:
  cache:
    vips: [127.0.0.1:${port}]
    mode: tcp
    pool: p
    rules:
      - { name: ana, redis: { users: [ana] }, action: allow }
      - { name: quiet, redis: { commands: [ping, auth, hello, client*, command*, multi, exec, discard, info, config|get, subscribe] }, action: allow }
      - { name: own, redis: { commands: [get, set, mset, mget, del, incr, lpush, rpush, lpop, rpop, sadd, hset, spop, zadd, zpopmin, lrange], keys: [own:*, 'key:*', 'counter:*', 'mylist*', 'myset*', 'myhash*', 'myzset*'] }, action: allow }
`);
  }, 30_000);
  afterAll(async () => {
    await running?.stop();
    await redis?.stop();
  });

  const cli = (...args: string[]) => said('redis-cli', ['-p', String(port), ...args]);

  it('commands and keys that rules name are carried, the others get NOPERM with a receipt', async () => {
    expect(await cli('set', 'own:a', '1')).toBe('OK');
    expect(await cli('get', 'own:a')).toBe('"1"'.replaceAll('"', ''));
    const denied = await cli('get', 'other');
    const receipt = /^NOPERM denied by policy, receipt (\S+)$/.exec(denied)?.[1];
    expect(receipt, denied).toBeDefined();
    const record = (await running.node.recentFlows(10, true)).find((flow) => flow.receipt === receipt);
    expect(record).toMatchObject({ rule: 'default', verdict: 'deny', protocol: 'redis', reason: 'denied: get' });
    expect(await cli('mset', 'own:a', '1', 'other', '2')).toMatch(/^NOPERM/);
    expect(await cli('flushall')).toMatch(/^NOPERM/);
    expect(await cli('config', 'set', 'dir', '/')).toMatch(/^NOPERM/);
    expect(await cli('config', 'get', 'port')).toContain(String(redis.port));
  });

  it('a connection of which nothing may go to a server has none', async () => {
    const dialled = running.node.servers()[0]!.dials.connected;
    expect(await cli('get', 'other')).toMatch(/^NOPERM/);
    expect(running.node.servers()[0]!.dials.connected).toBe(dialled);
  });

  it.each(['-2', '-3'])('in a pipeline each answer stands in its place (%s)', async (version) => {
    const lines = Array.from({ length: 500 }, (_, i) => (i % 3 === 1 ? `GET other:${i}` : i % 3 === 2 ? 'FLUSHALL' : `SET own:${i} ${i}`));
    const answers = (await said('redis-cli', ['-p', String(port), version], {}, `${lines.join('\n')}\n`))
      .split('\n')
      .filter((line) => line !== '');
    expect(answers.map((answer) => answer.replace(/(denied by policy), .*/, '$1'))).toEqual(
      lines.map((line) => (line.startsWith('SET') ? 'OK' : 'NOPERM denied by policy')),
    );
  });

  it('who has logged in is judged as that user, and who fails to is not', async () => {
    expect(await cli('--user', 'ana', '--pass', 'secret', '--no-auth-warning', 'set', 'any', 'x')).toBe('OK');
    expect(await cli('--user', 'ana', '--pass', 'wrong', '--no-auth-warning', 'set', 'any', 'x')).toMatch(/WRONGPASS|NOPERM/);
    expect(await cli('-3', '--user', 'ana', '--pass', 'secret', '--no-auth-warning', 'get', 'any')).toBe('x');
  });

  it('a transaction of which a command is denied does not happen', async () => {
    const answers = await said('redis-cli', ['-p', String(port)], {}, 'MULTI\nSET own:t 1\nSET other 1\nEXEC\nGET own:t\n');
    expect(answers).toMatch(/OK\nQUEUED\nNOPERM [^\n]*\n+EXECABORT [^\n]*/);
    expect(answers).not.toMatch(/\b1$/);
  });

  it('redis-benchmark runs through, pipelined and with large values', async () => {
    const out = await said('redis-benchmark', [
      '-p',
      String(port),
      '-q',
      '-n',
      '4000',
      '-P',
      '16',
      '-c',
      '8',
      '-d',
      '2000',
      '-t',
      'set,get,incr,lpush,sadd,hset,mset',
    ]);
    expect(out).toMatch(/MSET \(10 keys\): [\d.]+ requests per second/);
    expect(out).not.toMatch(/NOPERM|Error/i);
  }, 30_000);
});

describe.skipIf(lacks('mariadbd', 'mariadb', 'mariadb-install-db'))('MariaDB', () => {
  let mariadb: Program;
  let running: RunningNode;
  let port = 0;
  beforeAll(async () => {
    mariadb = await startMariadb(
      [
        'create database shop;',
        'create database secret;',
        "create user ana@'%' identified by 'pw';",
        "grant all on *.* to ana@'%';",
        "create user eve@'%';",
        "grant all on *.* to eve@'%';",
      ].join('\n'),
    );
    port = await freePort();
    running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${mariadb.port}] } }
applications:
  db:
    vips: [127.0.0.1:${port}]
    mode: tcp
    pool: p
    rules:
      - { name: not-secret, mysql: { schemas: [secret] }, action: deny }
      - { name: ana, mysql: { users: [ana] }, action: allow }
`);
  }, 60_000);
  afterAll(async () => {
    await running?.stop();
    await mariadb?.stop();
  }, 30_000);

  const cli = (user: string, sql: string, ...more: string[]) =>
    said('mariadb', [
      '--no-defaults',
      '-h',
      '127.0.0.1',
      '-P',
      String(port),
      '-u',
      user,
      ...(user === 'ana' ? ['-ppw'] : []),
      '-N',
      '-B',
      '-f',
      ...more,
      '-e',
      sql,
    ]);

  it('a user whom a rule names is carried', async () => {
    expect(await cli('ana', "select 6 * 7, length(repeat('x', 3000000))")).toBe('42\t3000000');
    expect(await cli('ana', 'select database()', 'shop')).toBe('shop');
  });

  it.each([
    ['another user', 'eve', [], 'default'],
    ['a schema that a rule denies', 'ana', ['secret'], 'not-secret'],
    ['the same in other letters', 'ana', ['SECRET'], 'not-secret'],
  ])('%s gets an error that the client prints, with its receipt', async (_what, user, more, rule) => {
    const words = await cli(user, 'select 1', ...more);
    const receipt = /ERROR 1045 \(28000\): denied by policy, receipt (\S+)/.exec(words)?.[1];
    expect(receipt, words).toBeDefined();
    const record = (await running.node.recentFlows(10, true)).find((flow) => flow.receipt === receipt);
    expect(record).toMatchObject({ rule, verdict: 'deny', protocol: 'mysql', bytes_out: expect.any(Number) });
  });

  it('another schema is judged within the connection, which goes on', async () => {
    const args = ['--no-defaults', '-h', '127.0.0.1', '-P', String(port), '-u', 'ana', '-ppw', '-N', '-B', '-f'];
    const words = await said('mariadb', args, {}, 'use secret;\nselect database();\nuse shop;\nselect database();\n');
    expect(words).toMatch(/^NULL\nshop/);
    expect(words).toMatch(/ERROR 1044 \(42000\)[^:]*: denied by policy, receipt \S+/);
  });

  it('encryption and compression that would hide the rest are not offered, and not taken', async () => {
    expect(await cli('ana', "show status like 'Compression'", '--compress')).toBe('Compression\tOFF');
    expect(await cli('ana', 'select 1', '--ssl', '--ssl-verify-server-cert')).toMatch(/SSL is required|TLS\/SSL error/i);
  });
});
