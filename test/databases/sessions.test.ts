/** Clients and servers that do what real ones do not, or not when it is wanted. */
import type { Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { client } from '../relay/client.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface Scene {
  readonly port: number;
  readonly running: RunningNode;
  readonly server: TestServer;
  /** What each of the server's connections has read. */
  readonly got: string[];
}

/** A node in front of a server that does as told with what it gets. */
async function scene(rules: string, serve: (socket: Socket, text: string) => void, more = '', greeting?: Buffer): Promise<Scene> {
  const got: string[] = [];
  const server = await startServer((socket) => {
    const index = got.push('') - 1;
    if (greeting !== undefined) socket.write(greeting);
    socket.on('data', (data) => {
      got[index] += data.toString('latin1');
      serve(socket, data.toString('latin1'));
    });
    socket.on('end', () => socket.end());
  });
  stops.push(() => server.close());
  const port = await freePort();
  const running = await startNode(`
version: 1
process: { workers: 1 }
pools: { p: { servers: [127.0.0.1:${server.port}], ejection: off } }
applications:
  app: { vips: [127.0.0.1:${port}], mode: tcp, pool: p, ${more} rules: [${rules}] }
`);
  stops.push(() => running.stop());
  return { port, running, server, got };
}

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

  it('a client that does not say who it is has the time of detection', async () => {
    const { port, running } = await scene(RULES, () => undefined, 'timeouts: { detect: 150ms },');
    const one = client(port);
    one.socket.write(startup('ana').subarray(0, 12));
    expect(await one.over).toBe('ECONNRESET');
    expect(await running.records(1)).toMatchObject([{ verdict: null, reason: 'detect timeout' }]);
  });
});

describe('MySQL', () => {
  const RULES = '{ name: ana, mysql: { users: [ana] }, action: allow }';
  const GREETING = Buffer.from(
    '4a0000000a382e302e333600080000000102030405060708 00ffffff0200ffdf1500000000000000000000 0102030405060708090a0b0c00 6d7973716c5f6e61746976655f70617373776f726400'.replaceAll(
      ' ',
      '',
    ),
    'hex',
  );
  GREETING.writeUIntLE(GREETING.length - 4, 0, 3);
  const login = (flags: number, user: string, schema = '') => {
    const bytes = Buffer.alloc(36 + user.length + 2 + (schema === '' ? 0 : schema.length + 1));
    bytes.writeUIntLE(bytes.length - 4, 0, 3);
    bytes[3] = 1;
    bytes.writeUInt32LE(flags, 4);
    bytes.write(user, 36);
    bytes.write(schema, 36 + user.length + 2);
    return bytes;
  };
  const BASE = 0x8200;

  it.each([
    ['a user whom a rule allows', BASE, 'ana', true],
    ['another user', BASE, 'eve', false],
    ['one who compresses what is to come, though that was not offered', BASE | 0x20, 'ana', false],
    ['one who encrypts it', BASE | 0x800, 'ana', false],
  ])('%s', async (_what, flags, user, allowed) => {
    const { port, got } = await scene(RULES, (socket) => void socket.write('hello'), '', GREETING);
    const one = client(port);
    const greeting = Buffer.from(await one.bytes(GREETING.length), 'latin1');
    expect(greeting).toHaveLength(GREETING.length);
    expect(greeting.equals(GREETING)).toBe(false);
    expect(got[0]).toBe('');
    one.socket.write(login(flags, user));
    await one.bytes(GREETING.length + 5);
    const words = one.text().slice(GREETING.length);
    if (allowed) expect(words).toBe('hello');
    else expect(words).toMatch(/#28000denied by policy, receipt /);
    expect(got[0]).toBe(allowed ? login(flags, user).toString('latin1') : '');
    one.socket.destroy();
  });

  it('a change of schema is judged wherever its packet is cut, and other commands pass', async () => {
    const { port, got } = await scene(
      '{ name: ana, mysql: { users: [ana], schemas: [shop] }, action: allow }',
      () => undefined,
      '',
      GREETING,
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    await one.bytes(GREETING.length);
    one.socket.setNoDelay(true);
    const packet = (text: string) => Buffer.concat([Buffer.from([text.length, 0, 0, 0]), Buffer.from(text, 'latin1')]);
    const first = login(BASE | 8, 'ana', 'shop');
    one.socket.write(first);
    const commands = [packet('\x03select 1'), packet('\x02secret'), packet('\x02shop'), packet('\x0e')];
    for (const byte of Buffer.concat(commands)) {
      one.socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const passed = Buffer.concat([first, commands[0]!, commands[2]!, commands[3]!]).toString('latin1');
    await until(() => got[0] === passed);
    expect(one.text().slice(GREETING.length)).toContain('\0\0\x01\xff\x14\x04#42000denied by policy, receipt ');
  });

  it('a command that comes with the login is judged as well', async () => {
    const { port, got } = await scene(
      '{ name: ana, mysql: { users: [ana], schemas: [shop] }, action: allow }',
      () => undefined,
      '',
      GREETING,
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    await one.bytes(GREETING.length);
    const first = login(BASE | 8, 'ana', 'shop');
    const change = Buffer.concat([Buffer.from([7, 0, 0, 0]), Buffer.from('\x02secret', 'latin1')]);
    one.socket.write(Buffer.concat([first, change, Buffer.from([1, 0, 0, 0, 0x0e])]));
    await until(() => got[0]!.endsWith('\x0e'));
    expect(got[0]).not.toContain('secret');
    expect(one.text()).toContain('#42000denied by policy, receipt ');
  });
});
