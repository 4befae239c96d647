import { describe, expect, it } from 'vitest';
import type { Balance } from '../../config/document.ts';
import { maglevTable } from '../../proxy/balance/maglev.ts';
import { PoolBalancer, type SourceWords } from '../../proxy/balance/pool.ts';
import type { PlannedPool } from '../../proxy/node/plan.ts';
import { ServerTable } from '../../proxy/shared/servers.ts';

const SOURCE: SourceWords = [0, 0, 0xffff, 0x7f000001];
const source = (i: number): SourceWords => [0, 0, 0xffff, 0x0a000000 + i];

function pool(balance: Balance, weights: number[], words: Partial<PlannedPool> = {}, random: () => number = () => 0) {
  const table = new ServerTable(1);
  const names = weights.map((_, i) => `10.0.0.${i}:80`);
  const built = balance === 'maglev' || balance === 'source-hash' ? maglevTable(names, weights) : null;
  const plan: PlannedPool = {
    name: 'p',
    balance,
    servers: weights.map((weight, row) => ({ row, text: names[row]!, target: { kind: 'tcp4', host: `10.0.0.${row}`, port: 80 }, weight })),
    ejection: null,
    retries: { attempts: 2, budget: 0.2 },
    idleConnections: 0,
    idleTimeoutMs: 0,
    protocol: 'http',
    proxyProtocol: null,
    maglev: built === null ? null : (built.buffer as SharedArrayBuffer),
    ...words,
  };
  const balancer = new PoolBalancer(plan, table, random);
  return {
    table,
    balancer,
    /** Rows picked in a row, as letters. */
    run: (count: number, except: number[] | null = null, now = 0) =>
      Array.from({ length: count }, () => {
        const picked = balancer.pick(SOURCE, now, except);
        return picked === null ? '-' : 'abcdefgh'[picked.server.row];
      }).join(''),
  };
}

describe('round-robin', () => {
  it.each([
    [[1, 1, 1], 'abcabcabc'],
    [[5, 1, 1], 'aabacaaaabacaa'],
    [[2, 1], 'abaaba'],
    [[0, 1, 0], 'bbb'],
    [[3], 'aaa'],
  ])('with weights %j goes %s', (weights, sequence) => {
    expect(pool('round-robin', weights).run(sequence.length)).toBe(sequence);
  });

  it('gives each its share exactly, over any weights', () => {
    const weights = [7, 256, 1, 30];
    const picks = pool('round-robin', weights).run(294);
    expect(weights.map((_, i) => picks.split('abcd'[i]!).length - 1)).toEqual(weights);
  });

  it('does not make up for the time that a server was away', () => {
    const { table, run } = pool('round-robin', [1, 1, 1]);
    table.setUp(1, false);
    expect(run(6)).toBe('acacac');
    table.setUp(1, true);
    const after = run(9);
    for (const letter of 'abc') expect(after.split(letter).length - 1).toBe(3);
  });
});

describe('a pool after a change of policy', () => {
  /** The same servers with other weights, after so many picks; a weight of null: the server has left. */
  function sequenceAfter(picks: number, before: number[], now: (number | null)[], next: number): string {
    const first = pool('round-robin', before);
    first.run(picks);
    const names = now.map((weight, row) => ({ weight, row })).filter(({ weight }) => weight !== null);
    const servers = names.map(({ weight, row }) => ({ ...first.balancer.plan.servers[row]!, weight: weight! }));
    const second = pool('round-robin', [], { servers });
    second.balancer.continueFrom(first.balancer);
    return second.run(next);
  }

  it.each([
    [1, [1, 1, 1], [1, 1, 1], 'bcabca'],
    [2, [1, 1, 1], [1, 1, 1], 'cabcab'],
    [3, [5, 1, 1], [5, 1, 1], 'acaaaab'],
    [2, [1, 1, 1], [1, null, 1], 'cacaca'],
    [1, [1, 1], [1, 1], 'baba'],
  ])('goes on after %i picks of %j as %j: %s', (picks, before, now, sequence) => {
    expect(sequenceAfter(picks, before, now, sequence.length)).toBe(sequence);
  });

  it('gives no server a turn that is further away than the weights of all others', () => {
    const [heavy, light] = ['a', 'b'].map((letter) => sequenceAfter(1, [256, 1], [1, 1], 20).split(letter).length - 1);
    expect(Math.abs(heavy! - light!)).toBeLessThanOrEqual(2);
  });

  it('counts dials and retries on for the budget', () => {
    const first = pool('round-robin', [1]);
    while (first.balancer.mayRetry(0));
    const second = pool('round-robin', [1]);
    second.balancer.continueFrom(first.balancer);
    expect(second.balancer.mayRetry(1)).toBe(false);
  });
});

describe.each(['round-robin', 'least-connections', 'random-two', 'source-hash', 'maglev'] as const)('%s', (balance) => {
  it('gives nothing to a server that is down, of weight 0, or tried already', () => {
    const { table, run } = pool(balance, [1, 1, 0, 1]);
    table.setUp(0, false);
    expect(new Set(run(40, [3]))).toEqual(new Set('b'));
  });

  it('gives nothing where no server takes flows', () => {
    const { table, run } = pool(balance, [1, 1, 0]);
    table.setUp(0, false);
    table.setUp(1, false);
    expect(run(3)).toBe('---');
    expect(pool(balance, []).run(1)).toBe('-');
    expect(pool(balance, [0]).run(1)).toBe('-');
  });

  it('comes back to a server that was tried where there is no other', () => {
    expect(pool(balance, [1]).run(2, [0])).toBe('aa');
  });

  it('goes by an ejected server, but not where all that are up are ejected', () => {
    const { table, run } = pool(balance, [1, 1]);
    table.failed(0, 1, 10_000);
    expect(new Set(run(20, null, 5_000))).toEqual(new Set('b'));
    table.setUp(1, false);
    expect(run(2, null, 5_000)).toBe('aa');
    table.setUp(1, true);
    table.failed(1, 1, 10_000);
    expect(run(2, null, 5_000)).not.toContain('-');
    // The time is over.
    let seen = '';
    for (let i = 0; i < 50 && balance !== 'source-hash' && balance !== 'maglev'; i++) {
      const { run: later, table: other } = pool(balance, [1, 1], {}, Math.random);
      other.failed(0, 1, 10_000);
      seen += later(2, null, 10_000);
    }
    if (seen !== '') expect(new Set(seen)).toEqual(new Set('ab'));
  });
});

describe('least-connections', () => {
  it('takes the server with the fewest for its weight, over all workers', () => {
    const { table, run } = pool('least-connections', [1, 1, 2]);
    table.flows.add(0, 0, 3);
    table.flows.add(0, 1, 2);
    table.flows.add(0, 2, 6);
    expect(run(1)).toBe('b');
    table.flows.add(0, 1, 1);
    expect(run(1)).toBe('c');
  });

  it('spreads ties', () => {
    let turn = 0;
    const { run } = pool('least-connections', [1, 1, 1], {}, () => (turn++ % 3) / 3);
    expect(run(6)).toBe('abcabc');
  });
});

describe('random-two', () => {
  it('takes the less loaded of two different ones', () => {
    const draws = [0, 0, 0, 0.99, 0.5, 0];
    const { table, run } = pool('random-two', [1, 1, 1], {}, () => draws.shift()!);
    table.flows.add(0, 0, 5);
    table.flows.add(0, 2, 1);
    // a or b, then a or c, then b or c.
    expect(run(3)).toBe('bcb');
  });

  it('leaves no server out', () => {
    expect(new Set(pool('random-two', [1, 1, 1, 1], {}, Math.random).run(200))).toEqual(new Set('abcd'));
  });
});

describe.each(['maglev', 'source-hash'] as const)('%s', (balance) => {
  it('sends a source to the same server, over and over and in every worker', () => {
    const [one, two] = [pool(balance, [1, 1, 1, 1]), pool(balance, [1, 1, 1, 1])];
    for (let i = 0; i < 200; i++) {
      const first = one.balancer.pick(source(i), 0, null)!.server.row;
      expect(one.balancer.pick(source(i), 0, null)!.server.row).toBe(first);
      expect(two.balancer.pick(source(i), 0, null)!.server.row).toBe(first);
    }
  });

  it('keeps sources where they are when another server goes down, and spreads those of the one that did', () => {
    const { table, balancer } = pool(balance, [1, 1, 1, 1, 1]);
    const before = Array.from({ length: 2_000 }, (_, i) => balancer.pick(source(i), 0, null)!.server.row);
    table.setUp(2, false);
    const heirs = [0, 0, 0, 0, 0];
    before.forEach((row, i) => {
      const now = balancer.pick(source(i), 0, null)!.server.row;
      if (row === 2) heirs[now] = heirs[now]! + 1;
      else expect(now).toBe(row);
    });
    expect(heirs[2]).toBe(0);
    for (const row of [0, 1, 3, 4]) expect(heirs[row]).toBeGreaterThan(50);
  });

  it('spreads sources even where hardly any server is left', () => {
    const { table, balancer } = pool(balance, Array<number>(100).fill(1));
    for (let row = 0; row < 98; row++) table.setUp(row, false);
    const counts = [0, 0];
    for (let i = 0; i < 1_000; i++) {
      const row = balancer.pick(source(i), 0, null)!.server.row - 98;
      counts[row] = counts[row]! + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(100);
  });
});

describe('the Maglev table', () => {
  const shares = (table: Uint16Array, count: number) => {
    const sums = new Array<number>(count).fill(0);
    for (const entry of table) sums[entry] = sums[entry]! + 1;
    return sums.map((sum) => sum / table.length);
  };
  const names = (count: number) => Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}:80`);

  it.each([2, 3, 10, 100, 600])('gives %i equal servers equal shares, within a few percent', (count) => {
    const table = maglevTable(names(count), Array<number>(count).fill(1))!;
    for (const share of shares(table, count)) expect(Math.abs(share * count - 1)).toBeLessThan(0.03);
  });

  it.each([[[1, 2, 3, 4]], [[256, 1]], [[1, 0, 1]], [[100, 50, 25, 1]], [[1, 3, 10]]])('follows weights %j', (weights) => {
    const table = maglevTable(names(weights.length), weights)!;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    shares(table, weights.length).forEach((share, i) => {
      expect(Math.abs(share - weights[i]! / total)).toBeLessThan((0.05 * weights[i]!) / total + 1e-9);
    });
  });

  it('changes little more than it must when a server goes or comes', () => {
    const all = names(20);
    const [before, after] = [maglevTable(all, Array<number>(20).fill(1))!, maglevTable(all.slice(0, 19), Array<number>(19).fill(1))!];
    expect(before.length).toBe(after.length);
    const moved = before.reduce((sum, row, i) => sum + (row !== 19 && row !== after[i] ? 1 : 0), 0);
    expect(moved / before.length).toBeLessThan(0.06);
  });

  it('does not exist where no server has weight', () => {
    expect(maglevTable(names(2), [0, 0])).toBeNull();
    expect(maglevTable([], [])).toBeNull();
  });
});

describe('the retry budget', () => {
  it('allows a share of the dials, a small number always, and both again in the next window', () => {
    const { balancer } = pool('round-robin', [1], { retries: { attempts: 2, budget: 0.2 } });
    const spend = (now: number) => {
      let allowed = 0;
      while (balancer.mayRetry(now)) allowed++;
      return allowed;
    };
    balancer.counted(0);
    expect(spend(0)).toBe(3);
    for (let i = 0; i < 99; i++) balancer.counted(1);
    expect(spend(1)).toBe(17);
    expect(spend(9_000)).toBe(0);
    // Half of what was counts on: 50 dials, 10 retries.
    expect(spend(11_000)).toBe(0);
    for (let i = 0; i < 50; i++) balancer.counted(11_000);
    expect(spend(11_000)).toBe(10);
  });
});

describe('passive ejection', () => {
  it('comes after failures in a row and not before; a success starts them anew; off means never', () => {
    const { balancer, table } = pool('round-robin', [1], { ejection: { failures: 3, forMs: 5_000 } });
    const [only] = balancer.candidates;
    const fail = () => balancer.failed(only!, 1_000_000);
    expect([fail(), fail()]).toEqual([false, false]);
    balancer.succeeded(only!);
    expect([fail(), fail(), fail()]).toEqual([false, false, true]);
    expect(table.ejectedUntil(0)).toBe(1_005_000);
    const never = pool('round-robin', [1]);
    for (let i = 0; i < 100; i++) expect(never.balancer.failed(never.balancer.candidates[0]!, 0)).toBe(false);
  });

  it.each(['round-robin', 'least-connections', 'random-two', 'source-hash', 'maglev'] as const)(
    'ends with the first success of a flow that was sent there for want of a server that is not ejected: %s',
    (balance) => {
      const { balancer, table, run } = pool(balance, [1, 1], { ejection: { failures: 1, forMs: 5_000 } });
      const [first, second] = balancer.candidates;
      balancer.failed(first!, 1_000_000);
      // One that was under way when its server was ejected, while there is another.
      balancer.succeeded(first!);
      expect(table.ejectedUntil(0)).toBe(1_005_000);
      balancer.failed(second!, 1_000_000);
      const tried = balancer.pick(SOURCE, 1_000_000, null)!;
      balancer.succeeded(tried === first ? second! : first!);
      expect([table.ejectedUntil(0), table.ejectedUntil(1)]).toEqual([1_005_000, 1_005_000]);
      balancer.succeeded(tried);
      expect(table.ejectedUntil(tried.server.row)).toBe(0);
      expect(new Set(run(20, null, 1_000_000))).toEqual(new Set('ab'[tried.server.row]));
    },
  );

  it('goes on where such a flow began before another worker ejected its server', () => {
    const { balancer, table } = pool('round-robin', [1], { ejection: { failures: 1, forMs: 5_000 } });
    const [only] = balancer.candidates;
    balancer.failed(only!, 1_000_000);
    expect(balancer.pick(SOURCE, 1_000_000, null)).toBe(only);
    table.failed(0, 1, 1_040_000);
    balancer.succeeded(only!);
    expect(table.ejectedUntil(0)).toBe(1_040_000);
  });

  it('goes on where such a flow fails its server once more', () => {
    const { balancer, table } = pool('round-robin', [1], { ejection: { failures: 1, forMs: 5_000 } });
    const [only] = balancer.candidates;
    balancer.failed(only!, 1_000_000);
    expect(balancer.pick(SOURCE, 1_000_000, null)).toBe(only);
    balancer.failed(only!, 1_001_000);
    balancer.succeeded(only!);
    expect(table.ejectedUntil(0)).toBe(1_006_000);
  });
});
