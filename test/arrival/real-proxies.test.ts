/** HAProxy and nginx, in front of a node and behind it, and what each of them makes of the same headers. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort, type RunningNode, startNode, startServer, type TestServer, until } from '../node/harness.ts';
import { lacks, type Program, startHaproxy, startNginx } from '../real/programs.ts';
import { BINARY, LINES } from './headers.ts';

const missing = lacks('haproxy', 'nginx');

/** Sends the header and a request; answers the body where the answer is 200, and otherwise null. */
function ask(port: number, head: Buffer, from = '127.0.0.1'): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    let text = '';
    socket.on('data', (data) => (text += data.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text.startsWith('HTTP/1.1 200') ? text.slice(text.indexOf('\r\n\r\n') + 4) : null));
    socket.write(Buffer.concat([head, Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')]));
  });
}

const NO_HEADER = Buffer.alloc(0);

/** What is refused here and by neither of the two: headers that contradict themselves, or that would put foreign bytes into names. */
const STRICTER = [
  'a port with a zero in front',
  'an octet with a zero in front',
  'an octet above 255',
  'two authorities',
  'an empty authority',
  'an authority with NUL',
  'an authority with a blank',
  'an authority with a line feed',
  'TLS too short',
  'TLS with half a part',
  'TLS with two names',
];

describe.skipIf(missing)('with real proxies', () => {
  let haproxy: Program;
  let nginx: Program;
  let web: TestServer;
  let running: RunningNode;
  const port = { in: 0, out: 0 };
  const outs = ['v1', 'v2', '{ version: 2, tlvs: [crc32c, unique-id] }'];
  const toHaproxy: number[] = [];
  const toNginx: number[] = [];

  beforeAll(async () => {
    port.in = await freePort();
    for (const name of ['plain', 'checked', 'wide', 'stream'] as const) names[name] = await freePort();
    const { plain, checked, wide, stream } = names;
    const accept = await freePort();
    const acceptNginx = await freePort();
    port.out = accept;
    haproxy = await startHaproxy(
      (own) => `frontend said
  mode http
  bind 127.0.0.1:${own}
  bind 127.0.0.1:${accept} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]>%[dst]:%[dst_port] id=%[fc_pp_unique_id]"
listen plain
  mode tcp
  bind 127.0.0.1:${plain}
  server s 127.0.0.1:${port.in} send-proxy
listen checked
  mode tcp
  bind 127.0.0.1:${checked}
  server s 127.0.0.1:${port.in} send-proxy-v2 proxy-v2-options crc32c check inter 100ms
listen wide
  mode tcp
  bind 127.0.0.1:${wide}
  server s 127.0.0.1:${port.in} send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c,unique-id`,
    );
    nginx = await startNginx(
      (own) =>
        `server { listen 127.0.0.1:${own}; listen 127.0.0.1:${acceptNginx} proxy_protocol; location / { default_type text/plain; return 200 "$proxy_protocol_addr:$proxy_protocol_port>$proxy_protocol_server_addr:$proxy_protocol_server_port"; } }`,
      `server { listen 127.0.0.1:${stream}; proxy_pass 127.0.0.1:${port.in}; proxy_protocol on; }`,
    );
    web = await startServer((socket) => {
      let text = '';
      socket.on('data', (data) => {
        text += data.toString('latin1');
        if (!text.includes('\r\n\r\n')) return;
        socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${/x-forwarded-for: (.*)\r/i.exec(text)?.[1] ?? ''}`);
      });
    });
    for (const _ of outs) {
      toHaproxy.push(await freePort());
      toNginx.push(await freePort());
    }
    const outPools = outs.map(
      (out, i) => `
  haproxy${i}: { servers: [127.0.0.1:${accept}], proxy-protocol: ${out}, health: { type: http, path: /, interval: 50ms } }
  nginx${i}: { servers: [127.0.0.1:${acceptNginx}], proxy-protocol: ${out}, health: { type: http, path: /, interval: 50ms } }`,
    );
    const outApplications = outs.map(
      (_, i) => `
  haproxy${i}: { vips: [127.0.0.1:${toHaproxy[i]}], mode: ${i === 1 ? 'tcp' : 'http'}, pool: haproxy${i}, rules: [{ name: all, action: allow }] }
  nginx${i}: { vips: [127.0.0.1:${toNginx[i]}], mode: ${i === 1 ? 'tcp' : 'http'}, pool: nginx${i}, rules: [{ name: all, action: allow }] }`,
    );
    running = await startNode(`
version: 1
process: { workers: 1 }
pools:
  web: { servers: [127.0.0.1:${web.port}] }${outPools.join('')}
applications:
  in: { vips: [127.0.0.1:${port.in}], mode: http, pool: web, proxy-protocol: { from: [127.0.0.1] }, rules: [{ name: all, action: allow }] }${outApplications.join('')}
`);
    names.acceptNginx = acceptNginx;
  }, 30_000);
  const names = { plain: 0, checked: 0, wide: 0, stream: 0, acceptNginx: 0 };

  afterAll(async () => {
    await running?.stop();
    await web?.close();
    await Promise.all([haproxy?.stop(), nginx?.stop()]);
  });

  it.each(['plain', 'checked', 'wide', 'stream'] as const)('their header names the client: %s', async (front) => {
    // One that checks us takes a moment to find us well.
    await until(async () => (await ask(names[front], NO_HEADER)) !== null);
    for (const source of ['127.0.0.5', '127.0.0.6']) expect(await ask(names[front], NO_HEADER, source)).toBe(source);
  });

  it('their checks of our health leave no client behind, and are no failure', async () => {
    await until(() => running.application('in').connectionsActive === 0);
    const faults = (await running.node.recentFlows(1_000, false)).filter((flow) => flow.reason?.startsWith('PROXY header'));
    expect(faults).toEqual([]);
  });

  it.each(outs.map((out, i) => [out, i] as const))('they understand ours: %s', async (_out, i) => {
    const source = '127.0.0.7';
    const said = await ask(toHaproxy[i]!, NO_HEADER, source);
    const [, id] = said!.split(' id=');
    expect(said).toMatch(new RegExp(`^127\\.0\\.0\\.7:\\d+>127\\.0\\.0\\.1:${toHaproxy[i]} `));
    const known = async () => (await running.node.recentFlows(1_000, false)).find((flow) => flow.application === `haproxy${i}`);
    await until(async () => (await known()) !== undefined);
    const record = (await known())!;
    expect(said!.slice(0, said!.indexOf('>'))).toBe(record.source);
    expect(id).toBe(i === 2 ? record.receipt : '');
    expect(await ask(toNginx[i]!, NO_HEADER, source)).toMatch(new RegExp(`^127\\.0\\.0\\.7:\\d+>127\\.0\\.0\\.1:${toNginx[i]}$`));
  });

  it('they find our checks of their health in order', async () => {
    const up = () => running.node.servers().filter((server) => /haproxy|nginx/.test(server.pool) && server.checkDetail === 'HTTP 200');
    await until(() => up().length === 2 * outs.length);
  });

  it('what is a header here is one for nginx, and names whom it names for HAProxy; what both take and we do not is listed', async () => {
    const rows = [
      ...LINES.map(([what, line]) => ({ what, bytes: Buffer.from(line, 'latin1') })).filter(({ bytes }) => bytes.includes('PROXY')),
      ...BINARY,
    ];
    const stricter: string[] = [];
    for (const { what, bytes } of rows) {
      const [ours, theirs, others] = await Promise.all([ask(port.in, bytes), ask(port.out, bytes), ask(names.acceptNginx, bytes)]);
      if (ours !== null) {
        expect(others, what).not.toBeNull();
        if (theirs !== null) expect(theirs.replace('::ffff:', ''), what).toContain(`${ours}:`);
      } else if (theirs !== null) stricter.push(what);
    }
    expect(stricter.sort()).toEqual([...STRICTER, 'a port above 65535'].sort());
  }, 30_000);
});
