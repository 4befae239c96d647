import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, until } from '../node/harness.ts';
import { ended, type NotingServer, type Proxied, proxyText, settled, startNoting, startPlain, startProxy } from './wire-client.ts';

const GET = (target: string, host = 'a') => `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

describe('requests of one connection', () => {
  let server: NotingServer;
  let proxy: Proxied;
  const rules = `
      - { name: no-admin, http: { paths: [/admin/*] }, action: deny }
      - { name: no-delete, http: { methods: [DELETE] }, action: deny }
      - { name: no-secret, http: { hosts: [secret.example, "*.inner.example"] }, action: deny }
      - { name: no-name, http: { hosts: [127.0.0.1] }, action: deny }
      - { name: rest, action: allow }`;
  beforeAll(async () => {
    server = await startPlain();
    proxy = await startProxy([server.port], '', '', rules);
  });
  afterAll(async () => {
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('are decided one by one: allowed, denied, allowed', async () => {
    const client = await proxy.open();
    client.send(GET('/1') + GET('/admin/x') + GET('/2'));
    expect((await client.answer()).body.toString()).toBe('/1');
    const denied = await client.answer();
    expect([denied.status, denied.fields.connection, denied.fields['bulkhead-error']]).toEqual([403, 'keep-alive', undefined]);
    expect((await client.answer()).body.toString()).toBe('/2');
    expect(await ended(proxy.running, denied.fields['bulkhead-receipt']!)).toMatchObject({
      verdict: 'deny',
      rule: 'no-admin',
      tier: 'application',
      method: 'GET',
      path: '/admin/x',
      host: 'a',
      status: 403,
      server: null,
      ended_by: 'policy',
    });
    expect(server.text()).not.toContain('admin');
    client.close();
  });

  it.each<[string, string, string]>([
    ['the path itself', GET('/admin'), 'no-admin'],
    ['with a slash', GET('/admin/'), 'no-admin'],
    ['dot segments', GET('/a/../admin/x'), 'no-admin'],
    ['dot segments above the root', GET('/../../admin'), 'no-admin'],
    ['a single dot', GET('/./admin'), 'no-admin'],
    ['escaped dots', GET('/a/%2e%2E/admin'), 'no-admin'],
    ['an escaped slash', GET('/a/..%2fadmin'), 'no-admin'],
    ['an escaped letter', GET('/%61dmin'), 'no-admin'],
    ['slashes in a row', GET('//admin//x'), 'no-admin'],
    ['a backslash', GET('/a\\..\\admin'), 'no-admin'],
    ['another letter case', GET('/ADMIN/x'), 'no-admin'],
    ['a query behind it', GET('/admin?x'), 'no-admin'],
    ['absolute-form', GET('http://b/admin/x'), 'no-admin'],
    ['absolute-form with dots', GET('http://b/x/../admin/x'), 'no-admin'],
    ['another method', 'DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n', 'no-delete'],
    ['another host', GET('/', 'secret.example'), 'no-secret'],
    ['another host in capitals with a port and a dot', GET('/', 'SECRET.example.:80'), 'no-secret'],
    ['a host below', GET('/', 'a.b.inner.example'), 'no-secret'],
    ['the host of absolute-form, whatever Host says', GET('http://secret.example/', 'a'), 'no-secret'],
    ['the host that HTTP/1.0 left to us', 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', 'no-name'],
    ['the upgrade of a denied path', 'GET /admin/x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', 'no-admin'],
  ])('are denied by %s', async (_what, request, rule) => {
    const seen = server.text().length;
    const client = await proxy.open();
    const answer = await client.send(request).answer();
    expect(answer.status).toBe(403);
    expect(await ended(proxy.running, answer.fields['bulkhead-receipt']!)).toMatchObject({ rule, verdict: 'deny' });
    expect(server.text().length).toBe(seen);
    client.close();
  });

  it.each([GET('/administrator'), GET('/x?/admin/'), GET('/x', 'notsecret.example'), GET('/x', 'inner.example'), GET('/x/admin')])(
    'are allowed: %j',
    async (request) => {
      const client = await proxy.open();
      expect((await client.send(request).answer()).status).toBe(200);
      client.close();
    },
  );

  it('with a body are denied without waiting for it, and closed', async () => {
    const client = await proxy.open();
    const answer = await client.send('POST /admin/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n').answer();
    expect([answer.status, answer.fields.connection]).toEqual([403, 'close']);
    expect(await client.end()).toBe('end');
    client.close();
  });
});

describe('a source', () => {
  it('that no rule allows gets 403, its receipt and the end, whatever it says', async () => {
    const server = await startPlain();
    const proxy = await startProxy([server.port], '', '', '[{ name: mine, from: [127.0.0.1/32], action: allow }]');
    for (const bytes of [GET('/') + GET('/again'), 'nonsense\r\n\r\n']) {
      const client = await proxy.open('127.0.0.9');
      const answer = await client.send(bytes).answer();
      expect([answer.status, answer.fields.connection]).toEqual([403, 'close']);
      expect(answer.fields['bulkhead-receipt']).toMatch(/^[0-9a-z]+-[0-9a-f]+$/);
      expect(answer.body.toString()).toContain(answer.fields['bulkhead-receipt']);
      expect(await client.end()).toBe('end');
      expect(client.text.match(/HTTP\/1\.1 /g)?.length).toBe(1);
      client.close();
    }
    expect(server.sockets.length).toBe(0);
    const client = await proxy.open();
    expect((await client.send(GET('/')).answer()).status).toBe(200);
    client.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it('is let through where the application observes, and counted', async () => {
    const server = await startPlain();
    const proxy = await startProxy([server.port], 'enforcement: observe', '', '[{ name: never, action: deny }]');
    const client = await proxy.open();
    expect((await client.send(GET('/x')).answer()).body.toString()).toBe('/x');
    client.close();
    await settled(proxy.running);
    const rule = proxy.running.node.counters().rules.find((entry) => entry.rule === 'never');
    expect(rule).toMatchObject({ allow: 0, deny: 0, wouldDeny: 1 });
    const [record] = await proxy.running.records(1);
    expect(record).toMatchObject({ verdict: 'would_deny', rule: 'never', status: 200 });
    await proxy.stop();
    await server.close();
  });
});

describe('a swap', () => {
  const ALL = '[{ name: all, action: allow }]';
  const NO_A = '[{ name: no-a, http: { paths: [/a*] }, action: deny }, { name: all, action: allow }]';
  const NOBODY = '[{ name: nobody, action: deny }]';
  const UPGRADED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

  /** Answers /quick at once, upgrades what asks for it and echoes, begins an answer to /…begun, and leaves everything else waiting. */
  const respond = (socket: import('node:net').Socket, soFar: Buffer) => {
    const text = soFar.toString('latin1').split('GET ').at(-1)!;
    if (text.includes('Upgrade: websocket')) socket.write(text.endsWith('\r\n\r\n') ? UPGRADED : text.split('\r\n\r\n').at(-1)!.at(-1)!);
    else if (text.startsWith('/quick ')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    else if (/^\S+begun /.test(text)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf');
  };

  it('reaches every connection in its state, and only those that it no longer allows', async () => {
    const server = await startNoting(respond);
    const proxy = await startProxy([server.port]);
    const { running } = proxy;
    const upgrade = (target: string) => `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n`;
    const send = async (request: string) => (await proxy.open()).send(request);
    const idle = await send(GET('/quick'));
    await idle.answer();
    const [waitingA, waitingB, begunA, begunB] = [
      await send(GET('/a')),
      await send(GET('/b')),
      await send(GET('/a-begun')),
      await send(GET('/b-begun')),
    ];
    const [openA, openB] = [await send(upgrade('/a')), await send(upgrade('/b'))];
    await Promise.all([openA, openB].map(async (client) => expect((await client.answer()).status).toBe(101)));
    await until(
      () => begunA.text.endsWith('half') && begunB.text.endsWith('half') && server.text().includes('/a ') && server.text().includes('/b '),
    );

    const result = await running.apply(proxyText(proxy.port, [server.port], '', '', NO_A));
    expect(result).toMatchObject({ ok: true, revoked: 3, kept: 4 });
    // No answer yet: told so. Begun: cut.
    const told = await waitingA.answer();
    expect([told.status, told.fields.connection]).toEqual([403, 'close']);
    expect(await begunA.end()).toBe('reset');
    expect(await openA.end()).toBe('reset');
    expect(await ended(running, told.fields['bulkhead-receipt']!)).toMatchObject({
      ended_by: 'policy',
      reason: 'revoked by no-a',
      verdict: 'allow',
      rule: 'all',
    });
    expect(running.application('web').flowsRevoked).toBe(3);
    // The others have noticed nothing.
    openB.send('x');
    await until(() => openB.text.endsWith('x'));
    server.sockets.find((_socket, i) => server.received[i]!.includes('/b-begun'))!.write('x'.repeat(46));
    expect((await begunB.answer()).body.length).toBe(50);
    server.sockets
      .find((_socket, i) => /GET \/b HTTP.*\r\nHost: a\r\nX/.test(server.received[i]!.toString()))!
      .write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    expect((await waitingB.answer()).body.toString()).toBe('ok');
    // The same connection, the new policy.
    expect((await idle.send(GET('/a')).answer()).status).toBe(403);
    expect((await idle.send(GET('/quick')).answer()).status).toBe(200);

    expect(await running.apply(proxyText(proxy.port, [server.port], '', '', NOBODY))).toMatchObject({ ok: true });
    expect(await openB.end()).toBe('reset');
    expect(await idle.end()).toBe('end');
    for (const client of [waitingA, waitingB, begunA, begunB, openA, openB, idle]) client.close();
    await settled(running);
    await proxy.stop();
    await server.close();
  });

  it('gives no request to a connection of a server that is gone, whatever has its place', async () => {
    const answer = (name: string) =>
      startNoting((socket, soFar) => {
        if (soFar.toString('latin1').includes('/late ') && !soFar.toString('latin1').endsWith('go')) return;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n${name}`);
      });
    const [old, between, fresh] = [await answer('old'), await answer('btw'), await answer('new')];
    const proxy = await startProxy([old.port]);
    const late = (await proxy.open()).send(GET('/late'));
    await until(() => old.text().includes('/late'));
    // The old server's place in the table is another's one day, but not while a request of its is under way.
    expect(await proxy.running.apply(proxyText(proxy.port, [between.port]))).toMatchObject({ ok: true });
    expect(await proxy.running.apply(proxyText(proxy.port, [fresh.port]))).toMatchObject({ ok: true });
    old.sockets[0]!.write('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold');
    expect((await late.answer()).body.toString()).toBe('old');
    expect((await late.send(GET('/')).answer()).body.toString()).toBe('new');
    late.close();
    await settled(proxy.running).catch(() => undefined);
    await proxy.stop();
    for (const server of [old, between, fresh]) await server.close();
  });

  it('that takes the VIP away ends what came by it', async () => {
    const server = await startNoting(respond);
    const proxy = await startProxy([server.port]);
    const [idle, waiting] = [await proxy.open(), await proxy.open()];
    expect((await idle.send(GET('/quick')).answer()).status).toBe(200);
    waiting.send(GET('/b'));
    await until(() => server.text().includes('/b '));
    expect(await proxy.running.apply(proxyText(await freePort(), [server.port], '', '', ALL))).toMatchObject({ ok: true });
    await idle.end();
    expect(await waiting.end()).toBe('reset');
    idle.close();
    waiting.close();
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });
});
