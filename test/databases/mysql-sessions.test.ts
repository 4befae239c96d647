/** Clients of MySQL that do what real ones do not, or not when it is wanted. */
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { client } from '../relay/client.ts';
import { scene, stops } from './scene.ts';

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
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
  const packet = (text: string) => Buffer.concat([Buffer.from([text.length & 0xff, text.length >> 8, 0, 0]), Buffer.from(text, 'latin1')]);
  /** A client of the application whose rule asks for a schema as well; it has been greeted. */
  async function greeted() {
    const rules = '{ name: ana, mysql: { users: [ana], schemas: [shop] }, action: allow }';
    const { port, got } = await scene(rules, () => undefined, '', GREETING);
    const one = client(port);
    stops.push(() => one.socket.destroy());
    await one.bytes(GREETING.length);
    return { one, got };
  }

  it.each([
    ['a user whom a rule allows', BASE, 'ana', true],
    ['another user', BASE, 'eve', false],
    ['one who compresses what is to come, though that was not offered', BASE | 0x20, 'ana', false],
    ['one who compresses it in the newer way', BASE | 0x400_0000, 'ana', false],
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
    const { one, got } = await greeted();
    one.socket.setNoDelay(true);
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
    const { one, got } = await greeted();
    const first = login(BASE | 8, 'ana', 'shop');
    const change = Buffer.concat([Buffer.from([7, 0, 0, 0]), Buffer.from('\x02secret', 'latin1')]);
    one.socket.write(Buffer.concat([first, change, Buffer.from([1, 0, 0, 0, 0x0e])]));
    await until(() => got[0]!.endsWith('\x0e'));
    expect(got[0]).not.toContain('secret');
    expect(one.text()).toContain('#42000denied by policy, receipt ');
  });

  it('who has changed its user is judged as that one from there on', async () => {
    const { port, got } = await scene(
      '{ name: ana, mysql: { users: [ana], schemas: [shop, secret] }, action: allow }, { name: bob, mysql: { users: [bob], schemas: [shop] }, action: allow }',
      () => undefined,
      '',
      GREETING,
    );
    const one = client(port);
    stops.push(() => one.socket.destroy());
    await one.bytes(GREETING.length);
    one.socket.write(Buffer.concat([login(BASE | 8, 'ana', 'shop'), packet('\x02secret'), packet('\x11bob\0\0shop\0')]));
    one.socket.write(Buffer.concat([packet('\x02secret'), packet('\x0e')]));
    await until(() => got[0]!.endsWith('\x0e'));
    expect(got[0]!.match(/secret/g)).toHaveLength(1);
    expect(one.text()).toContain('#42000denied by policy, receipt ');
  });

  it('a change that is too long to be judged ends the connection, and is counted as a limit', async () => {
    const { port, running } = await scene(RULES, () => undefined, '', GREETING);
    const one = client(port);
    await one.bytes(GREETING.length);
    one.socket.write(Buffer.concat([login(BASE, 'ana'), packet(`\x02${'s'.repeat(20_000)}`)]));
    await one.over;
    expect(running.node.counters().limits.find(({ limit }) => limit === 'database-message-size')?.hits).toBe(1);
  });

  it('what answers a question of the server is no command, whatever its bytes', async () => {
    const { one, got } = await greeted();
    const proof = packet('\x02secret');
    proof[3] = 3;
    one.socket.write(Buffer.concat([login(BASE | 8, 'ana', 'shop'), proof, packet('\x0e')]));
    await until(() => got[0]!.endsWith('\x0e'));
    expect(got[0]).toContain('\x02secret');
  });

  it('what an application that observes cannot read goes on as it comes', async () => {
    const { port, got } = await scene(RULES, () => undefined, 'enforcement: observe,', GREETING);
    const one = client(port);
    stops.push(() => one.socket.destroy());
    await one.bytes(GREETING.length);
    one.socket.write(Buffer.concat([login(BASE | 0x800, 'ana'), Buffer.from([0x16, 3, 1])]));
    await until(() => got[0]!.endsWith('\x16\x03\x01'));
    one.socket.write(packet('\x02').subarray(0, 2));
    await until(() => got[0]!.endsWith('\x01\x00'));
  });
});
