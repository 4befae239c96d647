/** Clients that leave while their answers are on their way, and those that stay for large ones. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { Authority } from './authority.ts';
import { pairs, startEdge } from './edge.ts';

const authority = new Authority();
afterAll(() => authority.remove());

it('clients that reset with requests under way give their places back at once', async () => {
  const web = createServer((asked, answer) => {
    asked.resume();
    setTimeout(() => answer.end('ok'), 1);
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const shop = authority.issue({ names: ['DNS:shop.example.com'] });
  const edge = await startEdge({ tls: `{ certificates: [${pairs(shop)}] }`, server: (web.address() as AddressInfo).port });
  const two = 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2);
  const leave = async () => {
    for (let i = 0; i < 60; i++) {
      const socket = connect({ port: edge.port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => undefined);
      socket.resume();
      for (let part = 0; part < 4; part++) {
        socket.write(two);
        await new Promise((resolve) => setTimeout(resolve, part));
      }
      socket.destroy();
    }
  };
  await Promise.all(Array.from({ length: 6 }, leave));
  await until(() => edge.at.application('shop').connectionsActive === 0, 5_000).finally(async () => {
    await edge.at.stop();
    web.closeAllConnections();
    web.close();
  });
});

it('answers that take many turns of the loop to encrypt are whole, and their connections end in order', async () => {
  const body = Buffer.alloc(3_000_000, 'y');
  const web = createServer((asked, answer) => {
    asked.resume();
    answer.end(body);
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const shop = authority.issue({ names: ['DNS:shop.example.com'] });
  const edge = await startEdge({ tls: `{ certificates: [${pairs(shop)}] }`, server: (web.address() as AddressInfo).port });
  const fetch = () =>
    new Promise<string>((resolve) => {
      let bytes = 0;
      const socket = connect({ port: edge.port, host: '127.0.0.1', rejectUnauthorized: false });
      socket.on('data', (part: Buffer) => {
        bytes += part.length;
      });
      socket.on('error', (error) => resolve(`${error.message} after ${bytes} bytes`));
      socket.on('close', () => resolve(bytes > body.length ? 'whole' : `closed after ${bytes} bytes`));
      socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    });
  const answers: string[] = [];
  for (let round = 0; round < 8; round++) answers.push(...(await Promise.all(Array.from({ length: 5 }, fetch))));
  expect(answers).toEqual(answers.map(() => 'whole'));
  await edge.at.stop();
  web.closeAllConnections();
  web.close();
});
