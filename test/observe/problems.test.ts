import { describe, expect, it } from 'vitest';
import { Problems } from '../../proxy/observe/problems.ts';

describe('what is wrong with a node', () => {
  it('is listed with the moment since which it is so, until it is over', () => {
    let now = 1_000;
    const problems = new Problems(() => now);
    problems.set('pool', 'web', 'no server');
    now = 2_000;
    problems.set('pool', 'web', 'still no server');
    problems.settle('reload', [['', 'refused']]);
    expect(problems.list()).toEqual([
      { kind: 'reload', subject: '', message: 'refused', since: 2_000 },
      { kind: 'pool', subject: 'web', message: 'still no server', since: 1_000 },
    ]);
    problems.clear('pool', 'web');
    problems.settle('reload', []);
    expect(problems.list()).toEqual([]);
  });

  it('is asked for when somebody looks; who knows since when says so', () => {
    const problems = new Problems(() => 5_000);
    let found: [string, string, number?][] = [['', 'full', 3_000]];
    problems.ask('audit', () => found);
    expect(problems.list()).toEqual([{ kind: 'audit', subject: '', message: 'full', since: 3_000 }]);
    found = [];
    expect([problems.list(), problems.counts().get('audit')]).toEqual([[], 0]);
  });

  it('is counted whole and listed up to a hundred of a kind', () => {
    const problems = new Problems();
    for (let i = 0; i < 150; i++) problems.set('pool', `${i}`, 'no server');
    expect([problems.list().length, problems.counts().get('pool')]).toEqual([100, 150]);
  });
});
