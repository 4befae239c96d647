import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import type { Image } from '../../policy/image.ts';
import { Book, REMOVED_RULE } from '../../proxy/shared/book.ts';
import * as ledger from '../../proxy/shared/ledger.ts';
import { documentOf } from '../node/harness.ts';

/** A policy of applications, each with rules of these names. */
function policy(applications: Record<string, string[]>): Image {
  const text = Object.entries(applications).map(
    ([name, rules], i) =>
      `  ${name}: { vips: [127.0.0.1:${20_000 + i}], mode: tcp, pool: p, rules: [${rules.map((rule) => `{ name: ${rule}, from: [127.0.0.1], action: allow }`).join(', ')}] }`,
  );
  return compile(documentOf(`version: 1\npools: { p: { servers: [127.0.0.1:9] } }\napplications:\n${text.join('\n')}\n`));
}

/** What a worker does in one epoch. */
class Hand {
  private readonly image: Image;
  private readonly slice: ledger.LedgerSlice;

  constructor(image: Image, buffer: SharedArrayBuffer) {
    this.image = image;
    this.slice = new ledger.LedgerSlice(buffer, image.applicationCount);
  }

  open(application: string, rule: string): void {
    const app = this.image.applicationIndex(application);
    const base = this.image.applicationRuleBase(app);
    for (let i = 0; i < this.image.applicationRuleCount(app); i++)
      if (this.image.ruleName(base + i) === rule) this.slice.rule(base + i, ledger.RULE_ALLOW);
    this.slice.add(app, ledger.FLOWS_OPENED, 1);
    this.slice.add(app, ledger.CONNECTIONS_OPENED, 1);
  }

  close(application: string): void {
    const app = this.image.applicationIndex(application);
    this.slice.add(app, ledger.FLOWS_CLOSED, 1);
    this.slice.add(app, ledger.CONNECTIONS_CLOSED, 1);
    this.slice.duration(app, ledger.FLOW_SUM, 0.2);
  }
}

class Bench {
  readonly book = new Book();
  hands: Hand[] = [];

  swap(image: Image, settle = true): void {
    this.hands = this.book.open(image, 2).map((buffer) => new Hand(image, buffer));
    if (settle) this.book.settle();
  }

  flows(name: string): { opened: number; closed: number; active: number; connections: number } | undefined {
    const found = this.book.read().applications.find((application) => application.application === name);
    return (
      found && { opened: found.flowsOpened, closed: found.flowsClosed, active: found.flowsActive, connections: found.connectionsActive }
    );
  }

  rules(name: string): Record<string, number> {
    return Object.fromEntries(
      this.book
        .read()
        .rules.filter((rule) => rule.application === name && rule.allow > 0)
        .map((rule) => [rule.rule, rule.allow]),
    );
  }
}

describe('the book', () => {
  it('sums workers, and carries sums by name through swaps that reorder, add and rename', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one', 'two'], b: ['one'] }));
    bench.hands[0]!.open('a', 'one');
    bench.hands[1]!.open('a', 'two');
    bench.hands[1]!.open('b', 'one');
    bench.hands[1]!.close('b');
    bench.swap(policy({ zero: ['x'], b: ['one'], a: ['two', 'new', 'one'] }));
    bench.hands[0]!.open('a', 'one');
    expect(bench.rules('a')).toEqual({ one: 2, two: 1 });
    expect(bench.flows('a')).toEqual({ opened: 3, closed: 0, active: 3, connections: 3 });
    expect(bench.flows('b')).toEqual({ opened: 1, closed: 1, active: 0, connections: 0 });
  });

  it('counts both epochs while a swap is under way', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one'] }));
    const before = bench.hands;
    before[0]!.open('a', 'one');
    bench.swap(policy({ a: ['one'] }), false);
    bench.hands[1]!.open('a', 'one');
    before[0]!.open('a', 'one');
    bench.hands[0]!.close('a');
    expect(bench.flows('a')).toEqual({ opened: 3, closed: 1, active: 2, connections: 2 });
    bench.book.settle();
    expect(bench.flows('a')).toEqual({ opened: 3, closed: 1, active: 2, connections: 2 });
    expect(bench.rules('a')).toEqual({ one: 3 });
  });

  it('folds rules that are gone into one name, again and again, and counts a rule that comes back anew', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one', 'two'] }));
    bench.hands[0]!.open('a', 'one');
    bench.hands[0]!.open('a', 'two');
    bench.swap(policy({ a: ['two'] }));
    expect(bench.rules('a')).toEqual({ [REMOVED_RULE]: 1, two: 1 });
    bench.swap(policy({ a: ['three'] }));
    expect(bench.rules('a')).toEqual({ [REMOVED_RULE]: 2 });
    bench.swap(policy({ a: ['one'] }));
    bench.hands[0]!.open('a', 'one');
    expect(bench.rules('a')).toEqual({ [REMOVED_RULE]: 2, one: 1 });
  });

  it('lets applications that are gone vanish, and starts them from nothing when they come back', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one'], b: ['one'] }));
    bench.hands[0]!.open('b', 'one');
    bench.swap(policy({ a: ['one'] }));
    expect(bench.flows('b')).toBeUndefined();
    expect(bench.rules('b')).toEqual({});
    bench.swap(policy({ a: ['one'], b: ['one'] }));
    bench.hands[0]!.open('b', 'one');
    bench.book.buryWorker(0);
    expect(bench.flows('b')).toEqual({ opened: 1, closed: 1, active: 0, connections: 0 });
  });

  it('closes the flows of a dead worker exactly, also those that it opened before a swap', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one'] }));
    for (let i = 0; i < 5; i++) bench.hands[0]!.open('a', 'one');
    bench.hands[1]!.open('a', 'one');
    bench.swap(policy({ a: ['one'] }));
    bench.hands[0]!.close('a');
    bench.hands[0]!.open('a', 'one');
    bench.book.buryWorker(0);
    expect(bench.flows('a')).toEqual({ opened: 7, closed: 6, active: 1, connections: 1 });
    const [application] = bench.book.read().applications;
    expect(application!.flowDuration.counts.reduce((sum, count) => sum + count, 0)).toBe(6);
  });

  it('closes them exactly when the same worker dies again, with and without a swap in between', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one'] }));
    for (let i = 0; i < 5; i++) bench.hands[0]!.open('a', 'one');
    bench.swap(policy({ a: ['one'] }));
    bench.book.buryWorker(0);
    bench.book.buryWorker(0);
    expect(bench.flows('a')).toEqual({ opened: 5, closed: 5, active: 0, connections: 0 });
    bench.hands[0]!.open('a', 'one');
    bench.book.buryWorker(0);
    bench.hands[0]!.open('a', 'one');
    bench.swap(policy({ a: ['one'] }));
    bench.book.buryWorker(0);
    expect(bench.flows('a')).toEqual({ opened: 7, closed: 7, active: 0, connections: 0 });
  });

  it('closes them exactly when a worker dies in the middle of a swap', () => {
    const bench = new Bench();
    bench.swap(policy({ a: ['one'] }));
    for (let i = 0; i < 3; i++) bench.hands[0]!.open('a', 'one');
    bench.hands[1]!.open('a', 'one');
    bench.swap(policy({ a: ['one'] }), false);
    bench.hands[0]!.close('a');
    bench.book.buryWorker(0);
    expect(bench.flows('a')).toEqual({ opened: 4, closed: 3, active: 1, connections: 1 });
    bench.book.settle();
    expect(bench.flows('a')).toEqual({ opened: 4, closed: 3, active: 1, connections: 1 });
    bench.book.buryWorker(1);
    expect(bench.flows('a')).toEqual({ opened: 4, closed: 4, active: 0, connections: 0 });
  });
});

describe('a ledger slice', () => {
  it('puts durations in the bucket whose bound they do not pass', () => {
    const slice = new ledger.LedgerSlice(ledger.createLedger(1, 1), 1);
    for (const seconds of [0, 0.0005, 0.00051, 600, 601]) slice.duration(0, ledger.FLOW_SUM, seconds);
    const counts = Array.from(slice.words.subarray(ledger.FLOW_BUCKETS, ledger.REQUEST_SUM));
    expect([counts[0], counts[1], counts.at(-2), counts.at(-1)]).toEqual([2, 1, 1, 1]);
  });

  it('keeps every slot of every application and rule apart', () => {
    const slice = new ledger.LedgerSlice(ledger.createLedger(2, 3), 2);
    slice.limit(0, ledger.LIMITS.at(-1)!);
    slice.limit(1, ledger.LIMITS.at(-1)!);
    slice.rule(0, ledger.RULE_ALLOW);
    slice.rule(2, ledger.RULE_WOULD_ALLOW);
    expect(slice.words.filter((word) => word === 1)).toHaveLength(4);
    expect(slice.words.at(-1)).toBe(1);
  });
});
