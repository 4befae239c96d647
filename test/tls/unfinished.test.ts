/** Connections that end before TLS is up: what is counted, what is said, and that nothing of them stays. */
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { freePort, until } from '../node/harness.ts';
import { Authority, type Issued } from './authority.ts';
import { type Edge, type EdgeWords, pairs, startEdge, tell, yamlOf } from './edge.ts';
import { extension, hello } from './hellos.ts';

const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');
const GSS_REQUEST = Buffer.from('0000000804d21630', 'hex');

let authority: Authority;
let shop: Issued;
let edge: Edge;
const sockets: Socket[] = [];

beforeAll(() => {
  authority = new Authority();
  shop = authority.issue({ names: ['DNS:shop.example.com'] });
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await edge.at.stop();
});

afterAll(() => authority.remove());

const words = (more: Partial<EdgeWords> = {}): EdgeWords => ({ tls: `{ certificates: [${pairs(shop)}] }`, server: 9001, ...more });
const hits = (limit: string) => edge.at.node.counters().limits.find((each) => each.limit === limit)?.hits ?? 0;

function open(): { socket: Socket; closed: Promise<void> } {
  const socket = connect(edge.port, '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve())) };
}

describe('a ClientHello', () => {
  it('that is too long is counted as a limit', async () => {
    edge = await startEdge(words());
    await tell(edge.port, hello({ extensions: [extension(21, Buffer.alloc(16_200))] }).fill(0xff, 6, 9));
    expect(hits('client-hello-size')).toBe(1);
    expect(edge.handshakes()).toMatchObject({ malformed: 1 });
  });

  it('that does not come to its end in time is counted as a limit, and as a handshake', async () => {
    edge = await startEdge(words());
    const { socket, closed } = open();
    socket.write(hello({}).subarray(0, 20));
    await closed;
    expect(hits('handshake')).toBe(1);
    expect(edge.handshakes()).toMatchObject({ timeout: 1 });
  });

  it('that is under way when its VIP goes ends with that', async () => {
    edge = await startEdge(words());
    const { socket, closed } = open();
    socket.write(hello({}).subarray(0, 20));
    await until(() => edge.at.application('shop').connectionsActive === 1);
    expect((await edge.at.apply(yamlOf(await freePort(), words()))).ok).toBe(true);
    await closed;
    expect(await edge.at.records(1)).toMatchObject([{ ended_by: 'policy', reason: 'vip removed' }]);
  });

  it('that is none gives its place back, each time', async () => {
    edge = await startEdge(words({ limits: 'connections: 1' }));
    for (let i = 0; i < 3; i++) expect(await tell(edge.port, Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toContain('This port speaks TLS');
    expect(edge.handshakes()['not-tls']).toBe(3);
  });
});

describe('a client of PostgreSQL that asks for TLS', () => {
  it('is told yes, and may ask for other encryption before, and for nothing after', async () => {
    edge = await startEdge(words({ mode: 'tcp' }));
    const { socket, closed } = open();
    let said = '';
    socket.on('data', (part: Buffer) => {
      said += part.toString('latin1');
    });
    for (const [request, answer] of [
      [GSS_REQUEST, 'N'],
      [SSL_REQUEST, 'NS'],
    ] as const) {
      socket.write(request);
      await until(() => said === answer);
    }
    socket.write(SSL_REQUEST);
    await closed;
    expect(said).toBe('NS');
  });

  it('is told nothing where it goes on without waiting for the answer', async () => {
    edge = await startEdge(words({ mode: 'tcp' }));
    expect(await tell(edge.port, Buffer.concat([SSL_REQUEST, hello({})]))).toBe('');
    expect(edge.handshakes()['not-tls']).toBe(1);
  });
});
