/** What a real Redis says of the keys of its commands, against what the table here says. */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { argumentsNeeded, redisCommand } from '../../proxy/databases/redis-keys.ts';
import { lacks, type Program, startRedis } from '../real/programs.ts';

/**
 * Commands for which every argument counts as a key here, though a server knows better; the last ones only where they are wrong in themselves, with
 * a number of keys that is none, or a half of XREAD's list missing.
 */
const STRICTER =
  /^(?:sort|sort_ro|georadius|georadiusbymember|migrate|restore-asking|debug|pfdebug|pfselftest|cluster\|.*|.*\|help|eval|eval_ro|evalsha|evalsha_ro|fcall|fcall_ro|xread|xreadgroup)$/;

function keysOf(words: readonly string[]): readonly string[] {
  const bytes = words.map((word) => Buffer.from(word));
  // As the reader does: not one argument more than is asked for.
  let needed = 1;
  let read: Buffer[] = [];
  while (read.length < needed) {
    read = bytes.slice(0, needed);
    needed = Math.min(bytes.length, argumentsNeeded(read, bytes.length));
  }
  return redisCommand(read, bytes.length).keys;
}

describe.skipIf(lacks('redis-server'))('the keys of commands', () => {
  let program: Program;
  let client: Redis;
  beforeAll(async () => {
    program = await startRedis();
    client = new Redis(program.port, '127.0.0.1', { maxRetriesPerRequest: 0 });
  }, 20_000);
  afterAll(async () => {
    client?.disconnect();
    await program?.stop();
  });

  /** null: the server finds fault with the command. */
  async function serverKeys(words: readonly string[]): Promise<readonly string[] | null> {
    try {
      return (await client.call('COMMAND', 'GETKEYS', ...words)) as string[];
    } catch (error) {
      return /no key arguments|invalid arguments/i.test(String(error)) && !/invalid arguments/i.test(String(error)) ? [] : null;
    }
  }

  it('of every command that the server has, with arguments of every kind, are among those that are judged', async () => {
    type Info = [name: string, arity: number, ...unknown[]];
    const infos = (await client.call('COMMAND')) as Info[];
    const subcommands = infos.flatMap((info) => ((info[9] as Info[] | undefined) ?? []).map(([name, arity]) => [name, arity] as const));
    const all = [...infos.map(([name, arity]) => [name, arity] as const), ...subcommands];
    expect(all.length).toBeGreaterThan(300);
    const wrong: string[] = [];
    const looser = new Set<string>();
    let compared = 0;
    for (const [name, arity] of all) {
      const words = name.split('|');
      const least = Math.max(Math.abs(arity), words.length);
      for (let size = least; size <= least + 3; size++)
        for (const filler of ['k', '1', '2', 'STREAMS']) {
          const line = [
            ...words,
            ...Array.from({ length: size - words.length }, (_, i) => (filler === 'k' ? `k${i}` : i % 2 ? filler : `k${i}`)),
          ];
          const theirs = await serverKeys(line);
          if (theirs === null) continue;
          compared++;
          const ours = keysOf(line);
          if (theirs.some((key) => !ours.includes(key))) wrong.push(`${line.join(' ')}: ${theirs.join(',')} not in ${ours.join(',')}`);
          else if (ours.some((key) => !theirs.includes(key))) looser.add(name);
        }
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(1_000);
    expect([...looser].filter((name) => !STRICTER.test(name)).sort()).toEqual([]);
  }, 60_000);

  it.each([
    ['EVAL s 2 a b c'],
    ['EVALSHA s 0 a'],
    ['FCALL f 1 a b'],
    ['ZUNIONSTORE d 2 a b WEIGHTS 1 2'],
    ['ZINTER 2 a b'],
    ['SINTERCARD 2 a b LIMIT 3'],
    ['LMPOP 2 a b LEFT'],
    ['BLMPOP 0 2 a b LEFT'],
    ['BZMPOP 0 1 a MIN'],
    ['XREAD COUNT 2 BLOCK 5 STREAMS a b 0 0'],
    ['XREADGROUP GROUP g c NOACK STREAMS a >'],
    ['XREADGROUP GROUP streams c STREAMS a >'],
    ['BITOP AND d a b'],
    ['LCS a b'],
    ['COPY a b REPLACE'],
    ['GEOSEARCHSTORE d s FROMLONLAT 1 1 BYRADIUS 1 m'],
    ['MSETNX a 1 b 2'],
    ['OBJECT FREQ a'],
    ['XGROUP CREATE s g $'],
    ['XINFO STREAM s FULL'],
    ['MEMORY USAGE a SAMPLES 5'],
    ['PFMERGE d a b'],
    ['SMOVE a b m'],
  ])('%s', async (line) => {
    const words = line.split(' ');
    expect([...keysOf(words)].sort()).toEqual([...(await serverKeys(words))!].sort());
  });
});
