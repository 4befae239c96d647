/** What rules say of requests, on the wire: no spelling of a path gets by, and what the server sees is what was judged. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type NotingServer, type Proxied, settled, startPlain, startProxy } from '../http/wire-client.ts';

const GET = (target: string, fields = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

describe('paths', () => {
  let server: NotingServer;
  let proxy: Proxied;
  beforeAll(async () => {
    server = await startPlain();
    const rules = `
      - { name: no-admin, http: { paths: [/admin/*] }, action: deny }
      - { name: rest, action: allow }`;
    proxy = await startProxy([server.port], '', '', rules);
  });
  afterAll(async () => {
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it.each(['/x/../admin', '/x/%2e%2e/admin/y', '//admin', '/x/..;/admin', '/ADMIN/x', '/x%2f..%2fadmin', '/%2561dmin', '/admin;a/b'])(
    '%s is denied, and no server hears of it',
    async (target) => {
      const before = server.text();
      const client = await proxy.open();
      client.send(GET(target));
      expect((await client.answer()).status).toBe(403);
      expect(server.text()).toBe(before);
      client.close();
    },
  );

  it.each([
    ['/admin/../x', '/x'],
    ['/a/./b?q=/../z', '/a/b?q=/../z'],
    ['/a/%2E%2e/b/..', '/'],
    ['/a//b', '/a//b'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a;x=1/b', '/a;x=1/b'],
  ])('%s reaches the server as %s', async (target, sent) => {
    const client = await proxy.open();
    client.send(GET(target));
    expect((await client.answer()).body.toString()).toBe(sent);
    client.close();
  });

  it('are resolved within a pipeline, with bodies, however the bytes are cut', async () => {
    const post = `POST /b/../c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello`;
    const text = GET('/1/../2') + post + GET('/admin/../admin') + GET('/4');
    for (const step of [text.length, 7, 1]) {
      const client = await proxy.open();
      for (let at = 0; at < text.length; at += step) {
        client.send(text.slice(at, at + step));
        if (step > 1 && step < text.length) await new Promise((resolve) => setImmediate(resolve));
      }
      const answers = [];
      for (let i = 0; i < 4; i++) answers.push(await client.answer());
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 403, 200]);
      expect(answers[0]!.body.toString()).toBe('/2');
      expect(answers[3]!.body.toString()).toBe('/4');
      client.close();
    }
  });
});

describe('fields', () => {
  let server: NotingServer;
  let proxy: Proxied;
  beforeAll(async () => {
    server = await startPlain();
    const rules = `
      - { name: no-debug, http: { headers: { x-debug: "*" } }, action: deny }
      - { name: no-bots, http: { headers: { user-agent: [ "bot/*", evil ] } }, action: deny }
      - { name: blue, http: { headers: { x-team: blue, x-env: "*" } }, action: allow }`;
    proxy = await startProxy([server.port], '', '', rules);
  });
  afterAll(async () => {
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  const blue = 'X-Team: blue\r\nX-Env: test\r\n';
  it.each([
    ['what is asked for', blue, 200],
    ['in another case of the name, with blanks around', 'X-TEAM:  \t blue \r\nx-env: \r\n', 200],
    ['without one of them', 'X-Team: blue\r\n', 403],
    ['with another value', 'X-Team: Blue\r\nX-Env: test\r\n', 403],
    ['with a longer value', 'X-Team: blue2\r\nX-Env: test\r\n', 403],
    ['twice, once with another value', `${blue}X-Team: red\r\n`, 403],
    ['twice the same', `${blue}X-Team: blue\r\n`, 200],
    ['with a field that is denied', `${blue}X-Debug: 1\r\n`, 403],
    ['with one that servers cannot tell from it', `${blue}X_Debug: 1\r\n`, 403],
    ['denied by the beginning of a value', `${blue}User-Agent: bot/2\r\n`, 403],
    ['denied by the second line of a field', `${blue}User-Agent: fine\r\nUser-Agent: evil\r\n`, 403],
    ['not denied', `${blue}User-Agent: curl/8\r\n`, 200],
    ['in a field that Connection takes away', `${blue}Connection: x-team\r\n`, 403],
  ])('%s', async (_, fields, status) => {
    const client = await proxy.open();
    client.send(GET('/', fields));
    expect((await client.answer()).status).toBe(status);
    client.close();
  });
});
