import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, until } from '../node/harness.ts';
import { ended, hits, type NotingServer, type Proxied, proxyText, settled, startNoting, startPlain, startProxy } from './wire-client.ts';

const HEAD = 'Host: a\r\n';

describe('what no server ever sees', () => {
  let server: NotingServer;
  let proxy: Proxied;

  beforeAll(async () => {
    server = await startPlain();
    proxy = await startProxy([server.port], 'limits: { head-size: 4KiB, head-fields: 20, target-size: 512B }');
  });
  afterAll(async () => {
    await settled(proxy.running);
    expect(proxy.running.application('web').flowsOpened).toBe(0);
    await proxy.stop();
    await server.close();
  });

  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
  it.each<[string, string, number, string]>([
    ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 400, 'bad-version'],
    ['a bare CR in a value', `GET / HTTP/1.1\r\n${HEAD}X: a\rTransfer-Encoding: chunked\r\n\r\n`, 400, 'bad-field'],
    ['NUL', `GET / HTTP/1.1\r\n${HEAD}X: \0\r\n\r\n`, 400, 'bad-field'],
    ['folding', `GET / HTTP/1.1\r\n${HEAD}X: a\r\n b\r\n\r\n`, 400, 'bad-field'],
    ['a space before the colon', `GET / HTTP/1.1\r\n${HEAD}X : a\r\n\r\n`, 400, 'bad-field'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400, 'bad-host'],
    ['two Hosts', `GET / HTTP/1.1\r\n${HEAD}Host: b\r\n\r\n`, 400, 'bad-host'],
    ['something like HTTP/2', 'PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n', 400, 'bad-version'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n', 400, 'bad-request-line'],
    ['CL.TE', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400, 'bad-length'],
    [
      'TE.CL',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${smuggled}\r\n0\r\n\r\n`,
      400,
      'bad-length',
    ],
    ['CL.CL', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 0\r\nContent-Length: 38\r\n\r\n${smuggled}`, 400, 'bad-length'],
    [
      'TE with a space before the colon',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad-field',
    ],
    ['TE with a tab', `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n${smuggled}`, 400, 'bad-coding'],
    ['xchunked', `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`, 400, 'bad-coding'],
    [
      'double TE',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n${smuggled}`,
      400,
      'bad-coding',
    ],
    ['chunked, chunked', `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400, 'bad-coding'],
    ['Transfer_Encoding', `POST / HTTP/1.1\r\n${HEAD}Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400, 'bad-coding'],
    ['TE in HTTP/1.0', `POST / HTTP/1.0\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`, 400, 'bad-coding'],
    ['a length of 1_0', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 1_0\r\n\r\n${smuggled}`, 400, 'bad-length'],
    ['a broken first chunk', `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n`, 400, 'bad-coding'],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', 405, 'connect'],
    ['CONNECT of a path', `CONNECT / HTTP/1.1\r\n${HEAD}\r\n`, 405, 'connect'],
    ['a long target', `GET /${'x'.repeat(512)} HTTP/1.1\r\n${HEAD}\r\n`, 414, 'target-size'],
    ['a long target without end', `GET /${'x'.repeat(600)}`, 414, 'target-size'],
    ['a large head', `GET / HTTP/1.1\r\n${HEAD}X: ${'x'.repeat(4_096)}\r\n\r\n`, 431, 'head-size'],
    ['a large head without end', `GET / HTTP/1.1\r\n${HEAD}X: ${'x'.repeat(4_096)}`, 431, 'head-size'],
    ['many fields', `GET / HTTP/1.1\r\n${HEAD}${'X: y\r\n'.repeat(20)}\r\n`, 431, 'too-many-fields'],
    ['a long method', `${'M'.repeat(40)} / HTTP/1.1\r\n${HEAD}\r\n`, 400, 'bad-method'],
  ])('%s', async (_what, bytes, status, fault) => {
    const limit = { 'target-size': 'target-size', 'head-size': 'head-size', 'too-many-fields': 'head-fields' }[fault];
    const before = limit === undefined ? 0 : hits(proxy.running, limit);
    const client = await proxy.open();
    const answer = await client.send(bytes).answer();
    expect(answer.status).toBe(status);
    expect(answer.fields['bulkhead-error']).toContain(fault);
    expect(answer.fields.connection).toBe('close');
    if (status === 405) expect(answer.fields.allow).toContain('GET');
    // One answer, and no more: what came behind it is not taken for a request.
    expect(await client.end()).toBe('end');
    expect(client.text.match(/HTTP\/1\.1 \d/g)?.length).toBe(1);
    client.close();
    const receipt = answer.fields['bulkhead-receipt']!;
    const record = await ended(proxy.running, receipt);
    expect(record).toMatchObject({ status, verdict: null, rule: null, server: null, ended_by: 'client', application: 'web' });
    expect(record.reason).toContain(fault);
    if (limit !== undefined) expect(hits(proxy.running, limit)).toBe(before + 1);
    expect(server.sockets.length).toBe(0);
  });
});

describe('a body that turns out to be wrong', () => {
  it.each([
    ['0x', '0x5\r\nhello\r\n'],
    ['a sign', '+5\r\nhello\r\n'],
    ['a space', '5 \r\nhello\r\n'],
    ['an overflow', 'ffffffffffffffffff\r\n'],
    ['a bare LF', '5\nhello\r\n'],
    ['a control byte in an extension', '5;\x01\r\nhello\r\n'],
    ['data beyond its size', '2\r\nhello\r\n'],
    ['a forbidden trailer', '0\r\nContent-Length: 5\r\n\r\n'],
  ])('is answered 400, and its server is cut off: %s', async (_what, bytes) => {
    const server = await startNoting(() => undefined);
    const proxy = await startProxy([server.port]);
    const client = await proxy.open();
    client.send(`POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
    await until(() => server.text().endsWith('abc\r\n'));
    const answer = await client.send(bytes).answer();
    expect([answer.status, answer.fields.connection]).toEqual([400, 'close']);
    expect(await client.end()).toBe('end');
    client.close();
    await until(() => server.sockets[0]!.destroyed);
    expect(server.text().endsWith('abc\r\n')).toBe(true);
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });
});

describe('a server that answers wrong', () => {
  const OK = 'HTTP/1.1 200 OK\r\n';
  let bytes = '';
  let close = false;
  let server: NotingServer;
  let proxy: Proxied;
  beforeAll(async () => {
    server = await startNoting((socket) => {
      socket.write(Buffer.from(bytes, 'latin1'));
      if (close) socket.end();
    });
    proxy = await startProxy([server.port], 'limits: { head-size: 4KiB, head-fields: 20 }', 'ejection: off');
  });
  afterAll(async () => {
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it.each<[string, string, string]>([
    ['not HTTP', 'hello\r\n\r\n', 'bad-response'],
    ['a bare LF', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'bad-response'],
    ['lengths that differ', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 'bad-response'],
    ['a length with chunked', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 'bad-response'],
    ['an unknown coding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`, 'bad-response'],
    ['a space before the colon', `${OK}Content-Length : 1\r\n\r\n`, 'bad-response'],
    ['NUL', `${OK}X: \0\r\n\r\n`, 'bad-response'],
    ['a broken first chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`, 'bad-response'],
    ['101 that nobody asked for', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n', 'bad-response'],
    ['a wrong answer behind an interim one', `HTTP/1.1 103 Early Hints\r\n\r\n${OK}X : y\r\n\r\n`, 'bad-response'],
    ['a large head', `${OK}X: ${'x'.repeat(5_000)}\r\n\r\n`, 'head-size'],
    ['a large head without end', `${OK}X: ${'x'.repeat(5_000)}`, 'head-size'],
    ['many fields', `${OK}${'X: y\r\n'.repeat(21)}\r\n`, 'too-many-fields'],
    ['nothing', '', 'server-closed'],
    ['half a head', 'HTTP/1.1 200 OK\r\nConte', 'server-closed'],
  ])('is a 502: %s', async (_what, response, error) => {
    bytes = response;
    close = error === 'server-closed';
    const client = await proxy.open();
    let answer = await client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`).answer();
    if (answer.status === 103) answer = await client.answer();
    expect(answer.status).toBe(502);
    // The record knows more than the client is told.
    expect(answer.fields['bulkhead-error']).toBe(error === 'server-closed' ? error : 'bad-response');
    expect(answer.body.toString()).toContain(answer.fields['bulkhead-receipt']);
    const receipt = answer.fields['bulkhead-receipt']!;
    const record = await ended(proxy.running, receipt);
    expect(record).toMatchObject({ status: 502, verdict: 'allow', rule: 'all', ended_by: 'server' });
    expect(record.reason).toContain(error);
    // The client's connection is none the worse for it.
    bytes = `${OK}Content-Length: 2\r\n\r\nok`;
    close = false;
    expect((await client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`).answer()).body.toString()).toBe('ok');
    client.close();
  });
});

describe('time', () => {
  const TIMES =
    'timeouts: { request-head: 200ms, request-body: 200ms, response: 200ms, keep-alive: 200ms, connect: 200ms, half-closed: 200ms }';
  let server: NotingServer;
  let proxy: Proxied;
  beforeAll(async () => {
    server = await startNoting((socket, soFar) => {
      const path = soFar.toString('latin1').split('GET ').at(-1)!.split(' ')[0];
      if (path === '/half') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf');
      else if (path === '/ok') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    proxy = await startProxy([server.port], TIMES, 'ejection: off');
  });
  afterAll(async () => {
    await settled(proxy.running);
    await proxy.stop();
    await server.close();
  });

  it.each<[string, string, number, string, string]>([
    ['a head that does not end', 'GET / HTT', 408, 'request-timeout; head', 'request-head'],
    ['a body that does not come', `POST / HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nab`, 408, 'request-timeout; body', 'request-body'],
    [
      'chunks that do not come',
      `POST / HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nab`,
      408,
      'request-timeout; body',
      'request-body',
    ],
    ['an answer that does not come', `GET /never HTTP/1.1\r\n${HEAD}\r\n`, 504, 'response-timeout', 'response'],
  ])('%s', async (_what, bytes, status, error, limit) => {
    const before = hits(proxy.running, limit);
    const client = await proxy.open();
    const answer = await client.send(bytes).answer();
    expect(answer.status).toBe(status);
    expect(answer.fields['bulkhead-error']).toContain(error);
    expect(hits(proxy.running, limit)).toBe(before + 1);
    if (status === 408) expect(await client.end()).toBe('end');
    client.close();
  });

  it('of a head is counted from its first byte, however the rest drips', async () => {
    const client = await proxy.open();
    expect((await client.send(`GET /ok HTTP/1.1\r\n${HEAD}\r\nGET /o`).answer()).status).toBe(200);
    const drip = setInterval(() => client.send('x'), 40);
    const answer = await client.answer();
    clearInterval(drip);
    expect(answer.status).toBe(408);
    client.close();
  });

  it('of an idle connection ends it without a word', async () => {
    const client = await proxy.open();
    expect(await client.end()).toBe('end');
    expect(client.text).toBe('');
    client.close();
  });

  it('of a half-closed client is a 504 as well', async () => {
    const before = hits(proxy.running, 'half-closed');
    const client = await proxy.open();
    client.send(`GET /never HTTP/1.1\r\n${HEAD}\r\n`);
    client.socket.end();
    expect((await client.answer()).status).toBe(504);
    expect(hits(proxy.running, 'half-closed')).toBe(before + 1);
    await client.end();
  });

  it('within a response is a reset, since its head is out', async () => {
    const client = await proxy.open();
    client.send(`GET /half HTTP/1.1\r\n${HEAD}\r\n`);
    expect(await client.end()).toBe('reset');
    expect(client.text.endsWith('half')).toBe(true);
    client.close();
  });
});

describe('no server', () => {
  it('is a 503 that says so', async () => {
    const proxy = await startProxy([await freePort()], '', 'health: { type: tcp, interval: 50ms, timeout: 50ms, fall: 1 }');
    await until(() => !proxy.running.node.servers()[0]!.up);
    const client = await proxy.open();
    const answer = await client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`).answer();
    expect([answer.status, answer.fields['bulkhead-error'], answer.fields['retry-after']]).toEqual([503, 'no-server', '1']);
    expect(await ended(proxy.running, answer.fields['bulkhead-receipt']!)).toMatchObject({
      status: 503,
      verdict: 'allow',
      server: null,
      ended_by: 'proxy',
      reason: 'no-server: pool web',
    });
    client.close();
    await settled(proxy.running);
    await proxy.stop();
  });

  it('that takes the connection is a 502, and one that does not answer the dial a 504', async () => {
    const proxy = await startProxy([await freePort()], 'timeouts: { connect: 200ms }', 'ejection: off\n    retries: { attempts: 0 }');
    const client = await proxy.open();
    const answer = await client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`).answer();
    expect([answer.status, answer.fields['bulkhead-error']]).toEqual([502, 'dial-failed']);
    client.close();
    await proxy.stop();
    const full = await startFull();
    const late = await startProxy([full.port], 'timeouts: { connect: 200ms }', 'ejection: off\n    retries: { attempts: 0 }');
    const waiting = await late.open();
    const timeout = await waiting.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`).answer();
    expect([timeout.status, timeout.fields['bulkhead-error']]).toEqual([504, 'dial-timeout']);
    expect(hits(late.running, 'connect')).toBe(1);
    waiting.close();
    await settled(late.running);
    await late.stop();
    await full.close();
  });
});

describe('a client that a server failed', () => {
  it('is not told where the server is, unless the file says so; the journal knows', async () => {
    const dead = await freePort();
    const proxy = await startProxy([dead], '', 'ejection: off\n    retries: { attempts: 0 }');
    const label = `web/127.0.0.1:${dead}`;
    const ask = async () => {
      const client = await proxy.open();
      const answer = await client.send(`GET / HTTP/1.1\r\n${HEAD}\r\n`).answer();
      client.close();
      return answer;
    };
    const brief = await ask();
    expect(brief.fields['bulkhead-error']).toBe('dial-failed');
    expect(`${brief.head}${brief.body}`).not.toContain('127.0.0.1');
    const receipt = brief.fields['bulkhead-receipt']!;
    expect(brief.body.toString()).toBe(`The server could not be reached.\nreceipt: ${receipt}\n`);
    expect(await ended(proxy.running, receipt)).toMatchObject({ ended_by: 'server', reason: `dial-failed: ${label} refused` });
    const text = proxyText(proxy.port, [dead], '', 'ejection: off\n    retries: { attempts: 0 }');
    expect(await proxy.running.apply(text.replace('workers: 1', 'workers: 1, answers: full'))).toMatchObject({ ok: true });
    const full = await ask();
    expect(full.fields['bulkhead-error']).toBe(`dial-failed; ${label} refused`);
    expect(full.body.toString()).toContain(`(${label} refused)`);
    await proxy.stop();
  });
});

/** A server whose queue of connections is full: nobody accepts, and further dials get no answer. */
async function startFull(): Promise<{ port: number; close(): Promise<void> }> {
  const { spawn } = await import('node:child_process');
  const port = await freePort();
  const script = `
import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', ${port})); s.listen(0)
held = []
for i in range(4):
    c = socket.socket(); c.setblocking(False)
    try: c.connect(('127.0.0.1', ${port}))
    except BlockingIOError: pass
    held.append(c)
print('ready', flush=True); time.sleep(60)`;
  const child = spawn('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill();
      }),
  };
}
