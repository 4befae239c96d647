import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { freePort, startNode, startServer } from './harness.ts';

it('carries bytes both ways and accounts for them', async () => {
  const echo = await startServer((socket) => socket.pipe(socket));
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { echo: { servers: [127.0.0.1:${echo.port}] } }
applications:
  tcp: { vips: [127.0.0.1:${port}], mode: tcp, pool: echo, rules: [{ name: all, action: allow }] }
`);
  const socket = connect(port, '127.0.0.1');
  socket.end('hello');
  let text = '';
  for await (const part of socket) text += part;
  expect(text).toBe('hello');
  const [record] = await running.records(1);
  expect(record).toMatchObject({ application: 'tcp', rule: 'all', verdict: 'allow', bytes_in: 5, bytes_out: 5, ended_by: 'client' });
  expect(running.application('tcp')).toMatchObject({ flowsOpened: 1, flowsClosed: 1, flowsActive: 0 });
  await running.stop();
  await echo.close();
});
