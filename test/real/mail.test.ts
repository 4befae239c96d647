/** Mail through a VIP: the server speaks first, and swaks, a client that people use, hears it. */
import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer } from '../node/harness.ts';
import { lacks } from './programs.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** As much of SMTP (RFC 5321) as takes one message. */
function takeMail(received: string[]): (socket: Socket) => void {
  return (socket) => {
    let inData = false;
    let text = '';
    socket.write('220 mail.example ESMTP\r\n');
    socket.on('data', (data) => {
      text += data;
      for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        if (inData) {
          if (line !== '.') received.push(line);
          else {
            inData = false;
            socket.write('250 taken\r\n');
          }
        } else if (/^DATA$/i.test(line)) {
          inData = true;
          socket.write('354 go on\r\n');
        } else if (/^QUIT$/i.test(line)) socket.end('221 bye\r\n');
        else socket.write('250 mail.example\r\n');
      }
    });
  };
}

async function start(rules: string): Promise<{ vip: number; received: string[]; running: RunningNode }> {
  const received: string[] = [];
  const server = await startServer(takeMail(received));
  const vip = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { mail: { servers: [127.0.0.1:${server.port}] } }
applications:
  mail: { vips: [127.0.0.1:${vip}], mode: tcp, pool: mail, rules: [${rules}] }
`);
  stops.push(
    () => server.close(),
    () => running.stop(),
  );
  return { vip, received, running };
}

function swaks(port: number): Promise<{ status: number | null; output: string }> {
  const words = ['--server', `127.0.0.1:${port}`, '--to', 'b@example.com', '--from', 'a@example.com', '--body', 'hello', '--timeout', '8s'];
  const child = spawn('swaks', words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, output })));
}

describe.skipIf(lacks('swaks'))('swaks', () => {
  it.each([
    ['where the rule names the protocol', '{ name: mail, protocols: [smtp], action: allow }'],
    ['where it names none', '{ name: all, action: allow }'],
    ['where clients that speak first are let in as well', '{ name: both, protocols: [smtp, http], action: allow }'],
  ])('delivers a message %s', async (_, rule) => {
    const { vip, received, running } = await start(rule);
    const { status, output } = await swaks(vip);
    expect([status, output]).toEqual([0, expect.stringContaining('220 mail.example ESMTP')]);
    expect(received.join('\n')).toContain('hello');
    const [record] = await running.records(1);
    expect(record).toMatchObject({ verdict: 'allow', application: 'mail' });
  });

  it('hears nothing of a server whose banner is not what the rule allows', async () => {
    const { vip, received } = await start('{ name: ftp, protocols: [ftp], action: allow }');
    const { status, output } = await swaks(vip);
    expect(status).not.toBe(0);
    expect(output).not.toContain('mail.example');
    expect(received).toEqual([]);
  });
});
