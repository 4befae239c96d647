/** What the log and the list of problems say of servers that flows, and no check, have found dead. */
import { afterEach, describe, expect, it } from 'vitest';
import { ServerNames } from '../../proxy/node/server-names.ts';
import { ServerWatch } from '../../proxy/node/server-watch.ts';
import type { Logger } from '../../proxy/observe/log.ts';
import { ServerTable } from '../../proxy/shared/servers.ts';
import { client } from '../relay/client.ts';
import { documentOf, freePort, startNode, startServer, until } from './harness.ts';

const FILE = `
version: 1
pools:
  web: { servers: [127.0.0.1:1, { address: 127.0.0.1:2, weight: 2 }] }
  idle: { servers: [] }
applications: { app: { vips: [127.0.0.1:9], mode: tcp, pool: web, rules: [] } }
`;

/** A watch over a table that the test writes, at a time that it says. */
function watched(file = FILE) {
  let now = 1_000_000;
  const lines: string[] = [];
  const note = (level: string) => (fields: object, message: string) => {
    const { pool, server, why } = fields as { pool: string; server?: string; why?: string };
    lines.push([level, server ?? pool, message, ...(why === undefined ? [] : [why])].join(' | '));
  };
  const log: Logger = { info: note('info'), warn: note('warn'), error: note('error'), debug: note('debug'), flush() {} };
  const table = new ServerTable(1);
  const names = new ServerNames(
    log,
    () => false,
    () => null,
  );
  const resolved = names.resolve(documentOf(file), new Map());
  const rows = new Map([
    ['127.0.0.1:1', 0],
    ['127.0.0.1:2', 1],
  ]);
  const planner = { rowOf: (_: string, server: string) => rows.get(server) };
  const watch = new ServerWatch({ planner, table, faultOf: () => null, inForce: () => resolved }, log, null, () => now);
  return {
    table,
    watch,
    /** Moves on, looks, and answers what was said. */
    later: (milliseconds: number) => {
      now += milliseconds;
      watch.look();
      return lines.splice(0);
    },
    eject: (row: number, forMs: number) => table.failed(row, 1, now + forMs),
  };
}

const EJECTED = 'a server is ejected: flows to it failed in a row';
const BACK = 'a server is no longer ejected';
const ALL_EJECTED = 'every server of a pool that is up is ejected; flows are sent to them all the same';

describe('the log', () => {
  it('tells of a server that is ejected and comes back', () => {
    const { later, eject } = watched();
    expect(later(0)).toEqual([]);
    eject(0, 70_000);
    expect(later(1_000)).toEqual([`warn | 127.0.0.1:1 | ${EJECTED}`]);
    expect(later(60_000)).toEqual([]);
    expect(later(10_000)).toEqual([`info | 127.0.0.1:1 | ${BACK}`]);
  });

  it('tells of trouble once a minute, however often a server comes and goes, and of its end at once', () => {
    const { later, eject } = watched();
    const said: string[][] = [];
    for (let second = 0; second < 180; second++) {
      if (second % 4 === 0) eject(1, 2_000);
      said.push(later(1_000));
    }
    const [troubled, back] = [`warn | 127.0.0.1:2 | ${EJECTED}`, `info | 127.0.0.1:2 | ${BACK}`];
    const lines = said.flat();
    expect(lines).toEqual([troubled, back, troubled, back, troubled, back]);
    // The ejection of two seconds is over with the look after the next.
    const at = said.findIndex((each) => each.includes(troubled));
    expect(said.slice(at, at + 3).flat()).toEqual([troubled, back]);
  });

  it('tells of a pool that has no server left, with why, and of its return at the next look', () => {
    const { later, table, watch } = watched();
    table.setUp(0, false);
    expect(later(1_000)).toEqual([]);
    expect(watch.emptyPools()).toEqual([]);
    table.setUp(1, false);
    expect(later(1_000)).toEqual(['error | web | a pool has no server left that takes flows | 2 down']);
    expect(watch.emptyPools()).toEqual([{ pool: 'web', why: '2 down', isEjected: false }]);
    table.setUp(0, true);
    expect(later(1_000)).toEqual(['info | web | a pool has a server again']);
    expect(watch.emptyPools()).toEqual([]);
  });

  it('tells of a pool whose servers are all ejected that flows are sent to them all the same', () => {
    const { later, eject, table, watch } = watched();
    table.setUp(0, false);
    eject(1, 80_000);
    expect(later(1_000)).toEqual([`warn | 127.0.0.1:2 | ${EJECTED}`, `error | web | ${ALL_EJECTED} | 1 down, 1 ejected`]);
    expect(watch.emptyPools()).toEqual([{ pool: 'web', why: '1 down, 1 ejected', isEjected: true }]);
    table.readmit(1, table.ejectedUntil(1));
    expect(later(1_000)).toEqual([`info | 127.0.0.1:2 | ${BACK}`, 'info | web | a pool has a server again']);
  });
});

it.each([
  [
    'servers of weight 0 or drained',
    'servers: [{ address: 127.0.0.1:1, weight: 0 }, { address: 127.0.0.1:2, drain: true }]',
    '1 drained, 1 of weight 0',
  ],
  ['none', 'servers: []', 'it has no servers'],
  ['a name without an answer', 'servers: [web.internal:80]', 'web.internal:80: its name has had no answer yet'],
])('a pool with %s has no server', (_, servers, why) => {
  const { watch } = watched(FILE.replace(/web: \{.*\}/, `web: { ${servers} }`));
  expect(watch.emptyPools()).toEqual([{ pool: 'web', why, isEjected: false }]);
});

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

it('a dead server without a check is in the log and among the problems once flows have failed', async () => {
  const [dead, vip] = [await freePort(), await freePort()];
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { db: { servers: [127.0.0.1:${dead}], ejection: { failures: 2, for: 1m }, retries: { attempts: 0 } } }
applications: { app: { vips: [127.0.0.1:${vip}], mode: tcp, pool: db, rules: [{ name: all, action: allow }] } }
`);
  stops.push(() => running.stop());
  expect(running.node.problems.list()).toEqual([]);
  for (let i = 0; i < 2; i++) await client(vip).over;
  await until(() => running.logged.some(({ message }) => message === EJECTED));
  expect(running.logged.find(({ message }) => message === ALL_EJECTED)).toMatchObject({
    level: 'error',
    fields: { pool: 'db', why: '1 ejected' },
  });
  const found = Date.now();
  await until(() => Date.now() - found > 20);
  const [problem, ...others] = running.node.problems.list();
  expect([problem, others]).toMatchObject([{ kind: 'pool', subject: 'db', message: expect.stringContaining('1 ejected') }, []]);
  // It began before anybody asked.
  expect(problem!.since).toBeLessThanOrEqual(found);
});

it('a pool whose one server was ejected is whole with the first flow that succeeds', async () => {
  const [port, vip] = [await freePort(), await freePort()];
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { db: { servers: [127.0.0.1:${port}], ejection: { failures: 2, for: 1h }, retries: { attempts: 0 } } }
applications: { app: { vips: [127.0.0.1:${vip}], mode: tcp, pool: db, rules: [{ name: all, action: allow }] } }
`);
  stops.push(() => running.stop());
  for (let i = 0; i < 2; i++) await client(vip).over;
  await until(() => running.logged.some(({ message }) => message === ALL_EJECTED));
  expect(running.node.problems.list()).toMatchObject([
    { message: expect.stringMatching(/^Every server of pool db that is up is ejected \(1 ejected\): flows are sent to them all/) },
  ]);
  const server = await startServer((socket) => void socket.end('here'), port);
  stops.push(() => server.close());
  const one = client(vip);
  await one.over;
  expect(one.text()).toBe('here');
  await until(() => running.node.problems.list().length === 0);
  await until(() => running.logged.some(({ message }) => message === 'a pool has a server again'));
});
