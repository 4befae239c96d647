/** Clients that would be taken for somebody else than the server takes them for. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeCommand } from '../../proxy/databases/redis.ts';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { lacks, type Program, startRedis } from '../real/programs.ts';
import { client } from '../relay/client.ts';

describe.skipIf(lacks('redis-server'))('a client of Redis', () => {
  let redis: Program;
  let running: RunningNode;
  let port = 0;
  beforeAll(async () => {
    redis = await startRedis();
    const direct = client(redis.port);
    for (const user of ['good', 'bad'])
      direct.socket.write(writeCommand(['ACL', 'SETUSER', user, 'on', `>${user}`, 'allcommands', 'allkeys']));
    direct.socket.write('SET secret TREASURE\r\n');
    await until(() => direct.text().split('+OK').length === 4);
    direct.socket.destroy();
    port = await freePort();
    running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${redis.port}] } }
applications:
  app:
    vips: [127.0.0.1:${port}]
    mode: tcp
    pool: p
    timeouts: { half-closed: 300ms }
    rules:
      - { name: not-bad, redis: { users: [bad] }, action: deny }
      - { name: good, redis: { users: [good] }, action: allow }
      - { name: quiet, redis: { commands: [ping, auth, hello, multi, exec, discard, reset, subscribe, unsubscribe, client*, replconf] }, action: allow }
`);
  }, 30_000);
  afterAll(async () => {
    await running?.stop();
    await redis?.stop();
  });

  /** Says it all, then asks for what only somebody else may have; what it has read when it is over, or has been silent. */
  async function heard(commands: readonly (readonly string[])[]): Promise<string> {
    const one = client(port);
    for (const words of [...commands, ['GET', 'secret']]) one.socket.write(writeCommand(words));
    let before = -1;
    await until(async () => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      const still = one.text().length === before;
      before = one.text().length;
      return still;
    });
    one.socket.destroy();
    return one.text();
  }

  it('that logs in is who it says, in whichever way it does', async () => {
    for (const login of [
      [['AUTH', 'good', 'good']],
      [['HELLO', '3', 'AUTH', 'good', 'good', 'SETNAME', 'auth']],
      [['HELLO', '2', 'setname', 'auth', 'auth', 'good', 'good']],
      [['MULTI'], ['EXEC'], ['AUTH', 'good', 'good']],
    ])
      expect(await heard(login), JSON.stringify(login)).toContain('TREASURE');
  });

  it.each([
    ['whose login fails', [['AUTH', 'good', 'wrong']]],
    ['whose login waits for its transaction to end', [['MULTI'], ['AUTH', 'good', 'wrong'], ['EXEC']]],
    ['whose transaction goes on though it said EXEC', [['MULTI'], ['EXEC', 'more'], ['AUTH', 'good', 'wrong'], ['EXEC']]],
    ['whose login waits by HELLO', [['MULTI'], ['HELLO', '2', 'AUTH', 'good', 'wrong'], ['EXEC']]],
    [
      'that has more replies come than it has asked for',
      [
        ['UNSUBSCRIBE', 'a', 'b', 'c'],
        ['AUTH', 'good', 'wrong'],
      ],
    ],
    ['that has fewer come', [['REPLCONF', 'ACK', '0'], ['AUTH', 'good', 'wrong'], ['PING'], ['PING']]],
    [
      'that has none come',
      [
        ['CLIENT', 'REPLY', 'OFF'],
        ['AUTH', 'good', 'wrong'],
        ['CLIENT', 'REPLY', 'ON'],
      ],
    ],
    ['that logs in twice at once', [['HELLO', '2', 'AUTH', 'good', 'good', 'AUTH', 'bad', 'bad']]],
    ['that calls itself "auth"', [['HELLO', '2', 'SETNAME', 'auth', 'AUTH', 'bad', 'bad']]],
    ['that is reset', [['AUTH', 'good', 'good'], ['RESET']]],
    [
      'that logs in as itself again',
      [
        ['AUTH', 'good', 'good'],
        ['AUTH', 'wrong'],
        ['AUTH', 'default', 'any'],
      ],
    ],
  ] as const)('%s, gets nothing that is another’s', async (_who, commands) => {
    expect(await heard(commands)).not.toContain('TREASURE');
  });

  it.each([
    ['leaves', []],
    ['leaves with a reset', []],
    ['says its last word', [['GET', 'a']]],
  ] as const)('whose login is never answered, is over when it %s', async (how, more) => {
    const one = client(port);
    // There is no answer to the first, so that the one to the second is taken for it.
    for (const words of [['REPLCONF', 'ACK', '0'], ['AUTH', 'good', 'wrong'], ...more]) one.socket.write(writeCommand(words));
    await until(() => one.text().includes('WRONGPASS'));
    if (how === 'leaves') one.socket.destroy();
    else if (how === 'leaves with a reset') one.socket.resetAndDestroy();
    else one.socket.end();
    await until(() => running.application('app').connectionsActive === 0);
    one.socket.destroy();
  });
});
