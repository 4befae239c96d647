import { expect, it } from 'vitest';
import { SERVERS_MAX, ServerTable } from '../../proxy/shared/servers.ts';

it('a server is up until a check says otherwise, in every thread', () => {
  const main = new ServerTable(2);
  const worker = new ServerTable(2, main.buffers);
  expect(worker.up(5)).toBe(true);
  main.setUp(5, false);
  expect([worker.up(5), worker.up(4), worker.up(6)]).toEqual([false, true, true]);
  main.setUp(5, true);
  expect(worker.up(5)).toBe(true);
});

it('failures in a row are counted over workers; a success in between starts them again', () => {
  const main = new ServerTable(2);
  const [one, two] = [new ServerTable(2, main.buffers), new ServerTable(2, main.buffers)];
  const until = 1_800_000_000_000;
  expect([one.failed(1, 3, until), two.failed(1, 3, until)]).toEqual([false, false]);
  one.succeeded(1);
  expect([one.failed(1, 3, until), two.failed(1, 3, until)]).toEqual([false, false]);
  expect(main.ejectedUntil(1)).toBe(0);
  expect(two.failed(1, 3, until)).toBe(true);
  expect([main.ejectedUntil(1), main.ejectedUntil(0), main.ejectedUntil(2)]).toEqual([until, 0, 0]);
  // After it, counting starts anew.
  expect(one.failed(1, 3, until)).toBe(false);
});

it('dials and flows in flight are sums over workers, and a row that changes hands starts empty', () => {
  const main = new ServerTable(2);
  const [one, two] = [new ServerTable(2, main.buffers), new ServerTable(2, main.buffers)];
  const last = SERVERS_MAX - 1;
  one.dialled(0, last, 'connected');
  two.dialled(1, last, 'connected');
  two.dialled(1, last, 'refused');
  one.flows.add(0, last, 2);
  two.flows.add(1, last, 3);
  expect(main.dialsOf(last)).toMatchObject({ connected: 2, refused: 1, timeout: 0 });
  expect(main.flows.total(last)).toBe(5);
  main.flows.clear(1);
  expect(main.flows.total(last)).toBe(2);
  main.setUp(last, false);
  main.clear(last);
  expect(main.dialsOf(last)).toMatchObject({ connected: 0, refused: 0 });
  expect(main.up(last)).toBe(true);
});
