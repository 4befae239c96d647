/** Clients and servers that do what real ones do not, or not when it is wanted. */
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { client } from '../relay/client.ts';
import { scene, stops } from './scene.ts';

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const NOPERM = '-NOPERM denied by policy, receipt ';
const shown = (text: string) => text.replaceAll(/receipt [^\r]+/g, 'receipt');

describe('Redis', () => {
  const RULES =
    '{ name: ana, redis: { users: [ana] }, action: allow }, { name: some, redis: { commands: [get], keys: [a*] }, action: allow }, { name: quiet, redis: { commands: [multi, exec] }, action: allow }';
  /** In the form by which Redis is found; what follows may come in line. */
  const GET_A = '*2\r\n$3\r\nGET\r\n$1\r\na\r\n';
  const GET_B = '*2\r\n$3\r\nGET\r\n$1\r\nb\r\n';

  /** Answers each command in turn; `how` says with what. */
  const answering = (how: (command: string) => string | null) => (socket: Socket, text: string) => {
    for (const command of text.split(/(?=\*\d+\r\n)/)) {
      const answer = how(
        command
          .replaceAll(/[*$]\d+\r\n/g, '')
          .trim()
          .replaceAll('\r\n', ' '),
      );
      if (answer !== null) socket.write(answer);
    }
  };

  it('answers of our own wait for those before them, and go before those behind them', async () => {
    const waiting: (() => void)[] = [];
    const { port, got } = await scene(RULES, (socket, text) => {
      const count = text.split('*2').length - 1;
      waiting.push(() => socket.write('$1\r\nx\r\n'.repeat(count)));
    });
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write(`${GET_A}GET b\r\nFLUSHALL\r\nGET a2\r\nGET b\r\n`);
    await until(() => (got[0]?.match(/GET/g) ?? []).length === 2);
    expect(one.text()).toBe('');
    for (const answer of waiting) answer();
    await until(() => one.text().split('\r\n').length > 7);
    expect(shown(one.text())).toBe(shown(`$1\r\nx\r\n${NOPERM}1\r\n${NOPERM}1\r\n$1\r\nx\r\n${NOPERM}1\r\n`));
    expect(got[0]).not.toContain('FLUSHALL');
  });

  it('pushes of the server between two answers move none of them', async () => {
    const { port } = await scene(
      RULES,
      answering((command) => (command.startsWith('GET') ? '>2\r\n+invalidate\r\n*0\r\n+value\r\n' : null)),
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write(`${GET_A}GET b\r\nGET a\r\n`);
    await until(() => one.text().split('+value').length === 3 && one.text().endsWith('\r\n'));
    expect(shown(one.text())).toBe(shown(`>2\r\n+invalidate\r\n*0\r\n+value\r\n${NOPERM}1\r\n>2\r\n+invalidate\r\n*0\r\n+value\r\n`));
  });

  it.each([
    ['that succeeds', '+OK\r\n', '+OK\r\n+value\r\n'],
    ['that fails', '-WRONGPASS no\r\n', `-WRONGPASS no\r\n${NOPERM}\r\n`],
  ])('what comes behind a login %s waits for its answer, and for the end of the client as well', async (_what, answer, expected) => {
    let login: Socket | null = null;
    const { port, got } = await scene(RULES, (socket, text) => {
      if (text.includes('AUTH')) login = socket;
      else if (text.includes('GET')) socket.write('+value\r\n');
    });
    const one = client(port);
    one.socket.end('*3\r\n$4\r\nAUTH\r\n$3\r\nana\r\n$2\r\npw\r\nGET b\r\n');
    await until(() => login !== null);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(got[0]).not.toContain('GET');
    login!.write(answer);
    expect(await one.over).toBe('end');
    expect(shown(one.text()).replace('receipt', 'receipt ')).toBe(expected);
  });

  it('a transaction with a denied command is discarded in the place of its end', async () => {
    const { port, got } = await scene(
      RULES,
      answering((command) => (/^(GET|SET)/.test(command) ? '+QUEUED\r\n' : '+OK\r\n')),
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write('*1\r\n$5\r\nMULTI\r\nGET a\r\nGET b\r\nEXEC\r\nGET a\r\n');
    await until(() => one.text().endsWith('+QUEUED\r\n') && one.text().includes('EXECABORT'));
    expect(shown(one.text())).toMatch(/^\+OK\r\n\+QUEUED\r\n-NOPERM [^\r]*\r\n-EXECABORT [^\r]*\r\n\+QUEUED\r\n$/);
    expect(got[0]).not.toContain('EXEC');
    expect(got[0]).toContain('DISCARD');
  });

  it('a transaction that is over has no say in the next one', async () => {
    const { port } = await scene(
      RULES,
      answering((command) => (command === 'EXEC' ? '*0\r\n' : '+OK\r\n')),
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write('*1\r\n$5\r\nMULTI\r\nEXEC\r\nGET b\r\nMULTI\r\nEXEC\r\n');
    await until(() => one.text().split('\r\n').length > 5);
    expect(shown(one.text())).toBe(shown(`+OK\r\n*0\r\n${NOPERM}1\r\n+OK\r\n*0\r\n`));
  });

  it('who logs in where answers cannot be counted any more is nobody, and not who it was before', async () => {
    const { port, got } = await scene(
      `${RULES}, { name: bob, redis: { users: [bob], commands: [auth] }, action: allow }`,
      answering(() => '+OK\r\n'),
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write('*3\r\n$4\r\nAUTH\r\n$3\r\nana\r\n$2\r\npw\r\nGET b\r\nSUBSCRIBE x\r\nAUTH bob pw\r\nGET c\r\n');
    await until(() => one.text().includes('NOPERM'));
    expect(got[0]).toContain('$1\r\nb\r\n');
    expect(got[0]).not.toContain('$1\r\nc\r\n');
  });

  it('a client that wants no answers hears what is denied all the same', async () => {
    const { port } = await scene(`${RULES}, { name: mute, redis: { commands: ["client|reply"] }, action: allow }`, () => undefined);
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write('*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\nGET b\r\n');
    await until(() => one.text().startsWith(NOPERM));
  });

  it.each([
    ['a login', '*3\r\n$4\r\nAUTH\r\n$3\r\nana\r\n$2\r\npw\r\n', 0],
    ['an answer before those of ours', GET_A, 1_024],
  ])('a client that waits for %s is listened to for a while only', async (_what, first, denied) => {
    const { port, running } = await scene(
      RULES,
      answering((command) => (command === 'GET a2' ? '+value\r\n' : null)),
    );
    const [one, other] = [client(port), client(port)];
    stops.push(() => one.socket.destroy());
    stops.push(() => other.socket.destroy());
    one.socket.write(first);
    for (let i = 0; i < 20; i++) one.socket.write(GET_B.repeat(20_000));
    await until(() => running.application('app').bytesIn > 50_000);
    for (let i = 1; i <= 30; i++) {
      other.socket.write('*2\r\n$3\r\nGET\r\n$2\r\na2\r\n');
      await other.bytes(i * '+value\r\n'.length);
    }
    expect(running.application('app').flowsClosed).toBe(denied);
    expect(running.application('app').bytesIn).toBeLessThan(1_000_000);
  });

  it('a command that is too long to be judged is counted as a limit', async () => {
    const { port, running } = await scene(RULES, () => undefined);
    const one = client(port);
    one.socket.write(`*2\r\n$3\r\nDEL\r\n$70000\r\n${'k'.repeat(70_000)}\r\n`);
    await one.over;
    expect(running.node.counters().limits.find(({ limit }) => limit === 'database-message-size')?.hits).toBe(1);
  });

  it('a client that takes no answers is not listened to without end', async () => {
    const { port, running } = await scene(RULES, () => undefined);
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.pause();
    const flood = Buffer.from(GET_B.repeat(20_000));
    for (let i = 0; i < 100; i++) one.socket.write(flood);
    let last = -1;
    await until(async () => {
      const now = running.application('app').bytesIn;
      const still = now === last;
      last = now;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return still && now > 0;
    }, 15_000);
    // What the buffers of the kernel hold of the answers, and little beside.
    expect(running.application('app').bytesIn).toBeLessThan(flood.length * 50);
  }, 20_000);

  it('what is no command is answered, and ends the connection', async () => {
    const { port, running } = await scene(RULES, () => undefined);
    const one = client(port);
    one.socket.write('*1\r\n$4\r\nPINGX\r\n');
    await one.over;
    expect(one.text()).toMatch(/^-ERR Protocol error/);
    await until(() => running.application('app').connectionsActive === 0);
  });

  it('every cut of a pipeline gives the same', async () => {
    const { port } = await scene(
      RULES,
      answering((command) => (command.startsWith('GET') ? '+value\r\n' : null)),
    );
    const bytes = '*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET b\r\n*2\r\n$3\r\nGET\r\n$2\r\na2\r\n';
    for (let cut = 1; cut < bytes.length; cut++) {
      const one = client(port);
      one.socket.setNoDelay(true);
      one.socket.write(bytes.slice(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      one.socket.write(bytes.slice(cut));
      await until(() => one.text().split('\r\n').length === 4);
      expect(shown(one.text()), `cut at ${cut}`).toBe(shown(`+value\r\n${NOPERM}1\r\n+value\r\n`));
      one.socket.destroy();
    }
  });

  it('an application that observes lets through what it would have denied, and counts it', async () => {
    const { port, running, got } = await scene(
      RULES,
      answering(() => '+OK\r\n'),
      'enforcement: observe,',
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    one.socket.write('*1\r\n$8\r\nFLUSHALL\r\n');
    await until(() => one.text() === '+OK\r\n');
    expect(got[0]).toContain('FLUSHALL');
    expect(await running.node.recentFlows(10, false)).toMatchObject([{ verdict: 'would_deny', reason: 'let through: flushall' }]);
  });
});

describe('PostgreSQL', () => {
  const RULES = '{ name: ana, postgres: { users: [ana] }, action: allow }';
  const startup = (user: string) =>
    Buffer.from(`\0\0\0${String.fromCharCode(8 + 5 + user.length + 2)}\0\x03\0\0user\0${user}\0\0`, 'latin1');

  it('the startup reaches the server whole, wherever it is cut', async () => {
    const { port, got } = await scene(RULES, (socket) => void socket.write('R'));
    const bytes = startup('ana');
    for (let cut = 1; cut < bytes.length; cut++) {
      const one = client(port);
      one.socket.setNoDelay(true);
      one.socket.write(bytes.subarray(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      one.socket.write(bytes.subarray(cut));
      await one.bytes(1);
      one.socket.destroy();
    }
    expect(new Set(got)).toEqual(new Set([bytes.toString('latin1')]));
  });

  it.each([
    [
      'what comes behind a request for TLS unasked',
      Buffer.concat([Buffer.from('0000000804d2162f', 'hex'), startup('ana')]),
      'ECONNRESET',
      '',
    ],
    ['a name that is said twice', Buffer.from('\0\0\0\x1a\0\x03\0\0user\0ana\0user\0eve\0\0', 'latin1'), 'end', 'denied by policy'],
  ])('%s reaches no server', async (_what, bytes, over, words) => {
    const { port, server } = await scene(RULES, () => undefined);
    const one = client(port);
    one.socket.write(bytes);
    expect(await one.over).toBe(over);
    expect(one.text()).toContain(words);
    expect(server.sockets).toHaveLength(0);
  });

  const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');

  it('a client that goes on without waiting for the answer to its question is turned away', async () => {
    const { port, running, server } = await scene(RULES, () => undefined);
    const one = client(port);
    one.socket.write(Buffer.concat([SSL_REQUEST, startup('ana')]));
    await one.over;
    expect(one.text()).toBe('');
    expect(await running.records(1)).toMatchObject([{ verdict: null, reason: 'malformed startup' }]);
    expect(server.sockets).toHaveLength(0);
  });

  it('a client that asks for encryption again and again is turned away', async () => {
    const { port, running } = await scene(RULES, () => undefined);
    const one = client(port);
    for (const answer of ['N', 'NN']) {
      one.socket.write(SSL_REQUEST);
      await until(() => one.text() === answer);
    }
    one.socket.write(SSL_REQUEST);
    await one.over;
    expect(one.text()).toBe('NN');
    expect(await running.records(1)).toMatchObject([{ verdict: null, reason: 'malformed startup' }]);
  });

  it('a session that is over cannot be cancelled any more', async () => {
    const key = '000004d2deadbeef';
    const { port, running, server } = await scene(RULES, (socket) => void socket.write(Buffer.from(`4b0000000c${key}`, 'hex')));
    const one = client(port);
    one.socket.write(startup('ana'));
    await one.bytes(13);
    one.socket.end();
    await one.over;
    const cancel = client(port);
    cancel.socket.write(Buffer.from(`0000001004d2162e${key}`, 'hex'));
    await cancel.over;
    expect((await running.records(2))[1]).toMatchObject({ verdict: null, reason: 'cancels no session that is known' });
    expect(server.sockets).toHaveLength(1);
  });

  it('a client that does not say who it is has the time of detection', async () => {
    const { port, running } = await scene(RULES, () => undefined, 'timeouts: { detect: 150ms },');
    const one = client(port);
    one.socket.write(startup('ana').subarray(0, 12));
    expect(await one.over).toBe('ECONNRESET');
    expect(await running.records(1)).toMatchObject([{ verdict: null, reason: 'detect timeout' }]);
  });
});
