/**
 * Conformance as rows: what a client sends, and what has to come of it. A row stands on a connection of its own to a real node, so none can hide what
 * another has done.
 */
import { createServer, type Server } from 'node:http';
import { expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, until } from '../node/harness.ts';
import { block, FLAG, frame, GET, POST, RawClient, request, TYPE } from './frames.ts';

/** Bytes to send, or something to wait for before more is sent. */
export type Step = Buffer | ((client: RawClient) => Promise<unknown>);

export type Outcome =
  /** GOAWAY with this code, and the connection closes. */
  | { readonly goAway: number }
  /** RST_STREAM with this code, and the connection goes on. */
  | { readonly reset: number; readonly stream: number }
  /** The stream is answered, and the connection goes on. */
  | { readonly status: string; readonly stream: number }
  /** Nothing comes of it, and the connection goes on. */
  | 'passes';

export const goAway = (code: number): Outcome => ({ goAway: code });
export const reset = (code: number, stream = 1): Outcome => ({ reset: code, stream });
export const status = (expected: string, stream = 1): Outcome => ({ status: expected, stream });

export type Row = readonly [section: string, what: string, outcome: Outcome, steps: readonly Step[]];

/** Waits until the stream is answered whole. */
export const answered =
  (stream = 1): Step =>
  (client) =>
    client.answer(stream);

/** Waits until the node has taken the settings of the preface. */
export const settled: Step = (client) => until(() => client.frames.some(({ type, flags }) => type === TYPE.settings && flags === FLAG.ack));

export type Fields = readonly (readonly [string, string])[];

/** Another value of a field. */
export const changed = (fields: Fields, name: string, value: string): Fields =>
  fields.map(([one, before]) => [one, one === name ? value : before] as const);
export const without = (fields: Fields, name: string): Fields => fields.filter(([one]) => one !== name);

export const WAIT = changed(GET, ':path', '/wait');
export const WAITING_POST = changed(POST, ':path', '/wait');
/** A stream whose request goes on, and one whose request is whole and has no answer yet. */
export const OPEN = request(1, WAITING_POST, false);
export const HALF_CLOSED = request(1, WAIT);
/** HEADERS with any flags and any payload. */
export const headers = (stream: number, flags: number, payload: Buffer = block(GET)) => frame(TYPE.headers, flags, stream, payload);
export const END_HEADERS = FLAG.endHeaders;
export const END = FLAG.endHeaders | FLAG.endStream;
/** The beginning of a field block, cut where no field ends. */
export const CUT = block(GET).subarray(0, 3);

/** The stream by whose answer a connection shows that it goes on. */
const LAST = 99;

export interface Suite {
  port: number;
  /** Of an application whose server never says that it speaks HTTP/2: requests to it wait, and their bodies with them. */
  waitingPort: number;
  node: RunningNode;
  stop(): Promise<void>;
}

/** A node before a server that never answers `/wait`, says in `saw` what it got of the field `probe`, and echoes bodies of POST. */
export async function startSuite(): Promise<Suite> {
  const backend = await freePort();
  const server: Server = createServer((asked, answer) => {
    if (asked.url === '/wait') asked.resume();
    else {
      answer.setHeader('saw', String(asked.headers.probe ?? ''));
      if (asked.method === 'POST') asked.pipe(answer);
      else answer.end(asked.url === '/large' ? 'x'.repeat(100_000) : 'hello');
    }
  });
  await new Promise<void>((resolve) => server.listen(backend, '127.0.0.1', resolve));
  const silent = await startServer(() => undefined);
  const [port, waitingPort] = [await freePort(), await freePort()];
  const node = await startNode(`
version: 1
process: { workers: 1 }
pools:
  web: { servers: [127.0.0.1:${backend}] }
  silent: { servers: [127.0.0.1:${silent.port}], protocol: h2 }
applications:
  shop: { vips: [127.0.0.1:${port}], mode: http, pool: web, rules: [{ name: all, action: allow }] }
  waiting: { vips: [127.0.0.1:${waitingPort}], mode: http, pool: silent, rules: [{ name: all, action: allow }] }
`);
  const stop = async () => {
    await node.stop();
    server.closeAllConnections();
    server.close();
    silent.close();
  };
  return { port, waitingPort, node, stop };
}

/** Sends the steps; those without a wait between them go out in one write. */
export async function play(client: RawClient, steps: readonly Step[]): Promise<void> {
  let gathered: Buffer[] = [];
  for (const step of steps) {
    if (Buffer.isBuffer(step)) gathered.push(step);
    else {
      client.send(...gathered);
      gathered = [];
      await step(client);
    }
  }
  client.send(...gathered);
}

export async function check(port: number, outcome: Outcome, steps: readonly Step[], greeting?: Buffer): Promise<RawClient> {
  const client = await RawClient.open(port, greeting);
  await play(client, steps);
  if (typeof outcome === 'object' && 'goAway' in outcome) {
    await until(() => client.closed);
    expect(client.codes(0)).toEqual([outcome.goAway]);
    return client;
  }
  client.send(request(LAST));
  expect(await client.answer(LAST)).toBe('200');
  if (outcome !== 'passes') {
    const got = await client.answer(outcome.stream);
    const resets = 'reset' in outcome ? [outcome.reset] : [];
    expect([client.codes(outcome.stream), 'status' in outcome ? got : undefined]).toEqual([
      resets,
      'status' in outcome ? outcome.status : undefined,
    ]);
  }
  expect(client.codes(0)).toEqual([]);
  client.close();
  return client;
}

/** Makes a test of each row. */
export function rows(suite: () => Suite, table: readonly Row[]): void {
  it.each(table)('%s %s', async (_section, _what, outcome, steps) => {
    await check(suite().port, outcome, steps);
  });
}
