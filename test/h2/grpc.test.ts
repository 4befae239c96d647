import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { grpcStatusOf } from '../../proxy/http/reply-grpc.ts';
import { freePort, type RunningNode, startNode, until } from '../node/harness.ts';
import { Caller, type Calls, startCalls } from './calls.ts';

let calls: Calls;
let node: RunningNode;
let caller: Caller;
let port: number;

const yaml = (rules: string) => `
version: 1
process: { workers: 1 }
pools:
  calls: { servers: [127.0.0.1:${calls.port}], protocol: h2 }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: http, pool: calls, rules: [${rules}] }
`;
const DENY_SECRETS = '{ name: secret, action: deny, protocols: [grpc], http: { paths: [/test.secret/*] } }';
const ALLOW_GRPC = '{ name: calls, action: allow, protocols: [grpc] }';

beforeAll(async () => {
  calls = await startCalls();
  port = await freePort();
  node = await startNode(yaml(`${DENY_SECRETS}, ${ALLOW_GRPC}`));
  caller = new Caller(port);
});

afterAll(async () => {
  caller.close();
  await node.stop();
  calls.close();
});

describe('gRPC from a client of HTTP/2 to a server of HTTP/2', () => {
  it('has unary calls, with metadata both ways', async () => {
    const answer = await caller.unary('echo', 'hello');
    expect(answer).toMatchObject({ message: 'hello', code: status.OK });
    expect(answer.trailers.get('seen')).toEqual(['echo']);
  });

  it('has calls that the server answers with many messages', async () => {
    expect(await caller.count(200)).toEqual(Array.from({ length: 200 }, (_, i) => String(i + 1)));
  });

  it('has calls that the client makes of many messages', async () => {
    expect(await caller.sum(Array.from({ length: 100 }, (_, i) => i + 1))).toBe('5050');
  });

  it('has calls in which both speak when they like', async () => {
    const talk = caller.talk();
    for (const word of ['one', 'two', 'three']) expect(await talk.say(word)).toBe(`heard ${word}`);
    talk.end();
    expect(await talk.ended).toBe(status.OK);
  });

  it('carries a message larger than every window', async () => {
    const large = 'x'.repeat(3_000_000);
    expect((await caller.unary('echo', large)).message).toBe(large);
  });

  it('passes on a failure that has no message before it', async () => {
    expect(await caller.unary('fail', '')).toMatchObject({ message: null, code: status.FAILED_PRECONDITION, details: 'not today' });
  });

  it('passes on that the client has cancelled', async () => {
    const before = calls.cancelled.length;
    const talk = caller.talk();
    await talk.say('hello');
    talk.cancel();
    expect(await talk.ended).toBe(status.CANCELLED);
    await until(() => calls.cancelled.length > before);
    expect(calls.cancelled.at(-1)).toBe('talk');
  });

  it('passes on that the time of a call is over', async () => {
    const before = calls.cancelled.length;
    expect((await caller.unary('wait', '', Date.now() + 200)).code).toBe(status.DEADLINE_EXCEEDED);
    await until(() => calls.cancelled.length > before);
  });

  it('denies in the words of gRPC, with the receipt', async () => {
    const answer = await caller.unary('forbidden', 'x');
    expect(answer).toMatchObject({ message: null, code: status.PERMISSION_DENIED });
    const [receipt] = answer.trailers.get('bulkhead-receipt');
    expect(answer.details).toContain(`receipt: ${receipt}`);
    const record = (await node.node.recentFlows(100, true)).find((flow) => flow.receipt === receipt);
    expect(record).toMatchObject({
      verdict: 'deny',
      rule: 'secret',
      protocol: 'grpc',
      method: 'POST',
      path: '/test.Secret/forbidden',
      // What became of it; what the client of gRPC was told of that stands beside.
      status: 403,
      reason: 'denied (grpc-status 7)',
    });
  });

  it('says in the words of gRPC that no server is there', async () => {
    const vip = await freePort();
    const lonely = await startNode(
      yaml(ALLOW_GRPC)
        .replace(`:${calls.port}]`, `:${await freePort()}]`)
        .replace(`:${port}]`, `:${vip}]`),
    );
    const other = new Caller(vip);
    const answer = await other.unary('echo', 'x');
    expect(answer).toMatchObject({ message: null, code: status.UNAVAILABLE });
    expect(answer.trailers.get('bulkhead-error')[0]).toMatch(/^dial-failed/);
    other.close();
    await lonely.stop();
  });

  it('ends a call that a new policy no longer allows, and leaves the connection to the others', async () => {
    const talk = caller.talk();
    await talk.say('still here');
    await node.apply(yaml(`{ name: no-talk, action: deny, http: { paths: [/test.calls/talk] } }, ${ALLOW_GRPC}`));
    const ended = await talk.status;
    expect(ended.code).toBe(status.PERMISSION_DENIED);
    const [receipt] = ended.metadata.get('bulkhead-receipt');
    expect(ended.details).toContain(`receipt: ${receipt}`);
    const record = (await node.node.recentFlows(100, false)).find((flow) => flow.receipt === receipt);
    expect(record).toMatchObject({ status: 200, ended_by: 'policy', reason: 'revoked by no-talk (grpc-status 7)' });
    expect(await caller.unary('echo', 'and I')).toMatchObject({ message: 'and I' });
    expect(node.application('shop').connectionsActive).toBe(1);
  });
});

describe('what our own answers are to gRPC', () => {
  it.each([
    [400, status.INTERNAL],
    [401, status.UNAUTHENTICATED],
    [403, status.PERMISSION_DENIED],
    [429, status.RESOURCE_EXHAUSTED],
    [502, status.UNAVAILABLE],
    [503, status.UNAVAILABLE],
    [504, status.DEADLINE_EXCEEDED],
    [418, status.UNKNOWN],
  ])('%i: %i', (http, grpc) => expect(grpcStatusOf(http)).toBe(grpc));
});
