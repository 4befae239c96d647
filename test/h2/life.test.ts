import { describe, expect, it } from 'vitest';
import { freePort, until } from '../node/harness.ts';
import { ERROR, FLAG, frame, RawClient, request, TYPE } from './frames.ts';
import { ALL, at, front, startBackend, text } from './front.ts';

describe('a policy that changes', () => {
  it('ends the streams that it no longer allows, and only those', async () => {
    const backend = await startBackend();
    const { node, port, stop } = await front(backend.port);
    const client = await RawClient.open(port);
    client.send(request(1, at('/stream')), request(3, at('/wait')), request(5, at('/wait')));
    await until(() => client.bodies.get(1) === 'begun' && backend.waiting.length === 2);
    await node.apply(text(port, backend.port, 'http', `{ name: no-streams, action: deny, http: { paths: [/stream] } }, ${ALL}`));
    await until(() => client.codes(1).length > 0);
    for (const answer of backend.waiting) answer();
    expect([await client.answer(3), await client.answer(5), client.codes(0)]).toEqual(['200', '200', []]);
    client.send(request(7, at('/stream')), request(9));
    expect([await client.answer(7), await client.answer(9)]).toEqual(['403', '200']);
    expect(node.application('shop').flowsRevoked).toBe(1);
    client.close();
    await stop();
    backend.close();
  });

  it('answers a request under way that it no longer allows, where nothing was answered yet', async () => {
    const backend = await startBackend();
    const { node, port, stop } = await front(backend.port);
    const client = await RawClient.open(port);
    client.send(request(1, at('/wait')));
    await until(() => backend.waiting.length === 1);
    await node.apply(text(port, backend.port, 'http', '{ name: none, action: deny }'));
    expect(await client.answer(1)).toBe('403');
    expect(client.field(1, 'bulkhead-receipt')).toBeDefined();
    client.close();
    await stop();
    backend.close();
  });

  it('takes the connection along where its VIP goes', async () => {
    const backend = await startBackend();
    const { node, port, stop } = await front(backend.port);
    const client = await RawClient.open(port);
    client.send(request(1));
    await client.answer(1);
    await node.apply(text(await freePort(), backend.port, 'http', ALL));
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([ERROR.none]);
    await stop();
    backend.close();
  });
});

describe('a client that is gone', () => {
  it('has its requests given up, also where its connection ended in order', async () => {
    const backend = await startBackend();
    const { node, port, stop } = await front(backend.port);
    const client = await RawClient.open(port);
    client.send(request(1, at('/wait')), request(3, at('/stream')));
    await until(() => backend.waiting.length === 1 && client.bodies.get(3) === 'begun');
    client.end();
    await until(() => node.application('shop').flowsActive === 0 && node.application('shop').connectionsActive === 0);
    const records = await node.records(2);
    expect(records.map(({ path, ended_by }) => [path, ended_by]).sort()).toEqual([
      ['/stream', 'client'],
      ['/wait', 'client'],
    ]);
    await stop();
    backend.close();
  });
});

describe('a node that leaves', () => {
  it('warns, lets streams end, refuses new ones, and closes', async () => {
    const backend = await startBackend();
    const { node, port } = await front(backend.port);
    const client = await RawClient.open(port);
    const idle = await RawClient.open(port);
    idle.send(request(1));
    await idle.answer(1);
    client.send(request(1, at('/wait')));
    await until(() => backend.waiting.length === 1);
    const stopped = node.stop(5_000);
    await until(() => idle.closed && client.codes(0).length === 1);
    expect(client.frames.find(({ type }) => type === TYPE.goAway)!.payload.readUInt32BE(0)).toBe(2 ** 31 - 1);
    // The client has had the warning: from here on its requests are too late.
    const ping = client.frames.find(({ type, flags }) => type === TYPE.ping && flags === 0)!;
    client.send(frame(TYPE.ping, FLAG.ack, 0, ping.payload), request(3));
    await until(() => client.codes(0).length === 2 && client.codes(3).length === 1);
    expect([client.codes(3), client.closed]).toEqual([[ERROR.refused], false]);
    backend.waiting[0]!();
    expect(await client.answer(1)).toBe('200');
    await until(() => client.closed);
    await stopped;
    backend.close();
  });
});
