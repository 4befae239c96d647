/**
 * The nftables export against the kernel: two network namespaces, real connections from several sources, and the verdicts of `explain`.
 * Needs root, as namespaces do; skipped without, unless CI=true.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import { explain } from '../../policy/explain.ts';
import { exportable } from '../../policy/export.ts';
import { toNftables } from '../../policy/export-nftables.ts';
import { findPeer } from '../peers.ts';
import { type DocumentWords, documentOf, question } from './documents.ts';

const MISSING = process.getuid?.() !== 0 ? 'not root' : findPeer('nft') === null ? 'no nft' : findPeer('ip') === null ? 'no ip' : null;
const SKIPPED = MISSING !== null && process.env.CI !== 'true';

const CLIENT = `bh-client-${process.pid}`;
const SERVER = `bh-server-${process.pid}`;
const SOURCES = [
  '10.77.0.1',
  '10.77.0.2',
  '10.77.1.5',
  '10.77.1.9',
  '10.77.2.1',
  '10.77.9.1',
  'fd77::1',
  'fd77::2',
  'fd77:0:0:1::5',
  'fd77:0:0:9::1',
];
const VIPS = ['10.78.0.1:8080', '10.78.0.1:8081', '10.78.0.2:8080', '[fd78::1]:8080', '[fd78::1]:8081'];
/** Beside every VIP: the ruleset does not touch it. */
const ELSEWHERE = '10.78.0.2:9999';

/** Listens everywhere, prints one line, and ends with its standard input. */
const LISTEN = `
const { createServer } = require('node:net');
const ends = JSON.parse(process.argv[1]);
let open = 0;
for (const [host, port] of ends) createServer((socket) => socket.on('error', () => {}).end('hello')).listen({ host, port, ipv6Only: host.includes(':') }, () => { if (++open === ends.length) connect(); });
function connect() {
  const { spawnSync } = require('node:child_process');
  process.stdin.resume();
  process.stdin.on('end', () => process.exit());
  console.log('open');
}`;

/** Connects from every source to every address of its family, and prints which answered. */
const CONNECT = `
const { connect } = require('node:net');
const [sources, ends] = JSON.parse(process.argv[1]);
const flows = sources.flatMap((from) => ends.filter(([host]) => host.includes(':') === from.includes(':')).map(([host, port]) => ({ from, host, port })));
Promise.all(flows.map((flow) => new Promise((resolve) => {
  const socket = connect({ host: flow.host, port: flow.port, localAddress: flow.from, timeout: 3000 });
  const end = (answer) => { socket.destroy(); resolve({ ...flow, answer }); };
  socket.on('data', () => end('allow')).on('error', (error) => end(error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET' ? 'deny' : error.code)).on('timeout', () => end('timeout'));
}))).then((answers) => console.log(JSON.stringify(answers)));`;

function run(command: string, args: readonly string[], input = ''): string {
  const result = spawnSync(command, args, { input, encoding: 'utf8', timeout: 20_000 });
  if (result.status !== 0) throw new Error(`${command} ${args.slice(0, 6).join(' ')}: ${result.stderr}${result.error?.message ?? ''}`);
  return result.stdout;
}

function ip(...args: string[]): void {
  run('ip', args);
}

function partsOf(endpoint: string): [string, number] {
  const colon = endpoint.lastIndexOf(':');
  return [endpoint.slice(0, colon).replace(/[[\]]/g, ''), Number(endpoint.slice(colon + 1))];
}

const DOCUMENTS: readonly (readonly [string, DocumentWords])[] = [
  ['nobody', { applications: { a: { vips: VIPS, rules: [] } } }],
  ['everyone', { applications: { a: { vips: VIPS, rules: [{ action: 'allow' }] } } }],
  [
    'segments, exceptions, ports and a lane',
    {
      cluster: ['10.77.2.0/24'],
      segments: {
        office: { addresses: ['10.77.0.0/23', 'fd77::/64'], except: ['10.77.1.9', 'fd77::2'] },
        guests: { addresses: ['10.77.9.0/24'] },
      },
      guardrails: [
        { from: ['10.77.0.2'], ports: [[8081, 8081]], action: 'pass' },
        { from: ['10.77.0.2', 'guests'], action: 'deny' },
      ],
      applications: {
        a: {
          vips: ['10.78.0.1:8080', '10.78.0.1:8081', '[fd78::1]:8080', '[fd78::1]:8081'],
          rules: [
            { from: ['fd77:0:0:1::/64'], ports: [[8081, 9000]], action: 'allow' },
            { from: ['office'], action: 'allow' },
          ],
        },
        b: { vips: ['10.78.0.2:8080'], rules: [{ from: ['any'], except: ['office'], action: 'allow' }] },
      },
    },
  ],
];

describe.skipIf(SKIPPED)(`the kernel with an export${SKIPPED ? ` (skipped: ${MISSING})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-nft-'));
  const ends = [...VIPS, ELSEWHERE].map(partsOf);
  let stop = () => {};

  beforeAll(async () => {
    ip('netns', 'add', CLIENT);
    ip('netns', 'add', SERVER);
    ip('link', 'add', 'bh0', 'netns', CLIENT, 'type', 'veth', 'peer', 'name', 'bh0', 'netns', SERVER);
    for (const [name, own] of [
      [CLIENT, SOURCES],
      [SERVER, [...new Set(ends.map(([host]) => host))]],
    ] as const) {
      ip('-n', name, 'link', 'set', 'lo', 'up');
      ip('-n', name, 'link', 'set', 'bh0', 'up');
      for (const host of own)
        ip(
          '-n',
          name,
          'address',
          'add',
          host.includes(':') ? `${host}/128` : `${host}/32`,
          'dev',
          'bh0',
          ...(host.includes(':') ? ['nodad'] : []),
        );
    }
    ip('-n', CLIENT, 'route', 'add', '10.78.0.0/16', 'dev', 'bh0');
    ip('-n', CLIENT, '-6', 'route', 'add', 'fd78::/16', 'dev', 'bh0');
    ip('-n', SERVER, 'route', 'add', '10.77.0.0/16', 'dev', 'bh0');
    ip('-n', SERVER, '-6', 'route', 'add', 'fd77::/16', 'dev', 'bh0');
    const { spawn } = await import('node:child_process');
    const child = spawn('ip', ['netns', 'exec', SERVER, process.execPath, '-e', LISTEN, JSON.stringify(ends)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    stop = () => void child.kill();
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve());
      child.once('exit', (status) => reject(new Error(`the listener ended with ${status}`)));
    });
  });

  afterAll(() => {
    stop();
    for (const name of [CLIENT, SERVER]) spawnSync('ip', ['netns', 'del', name]);
    rmSync(folder, { recursive: true });
  });

  function answers(words: DocumentWords): { flow: string; answer: string; verdict: string }[] {
    const document = documentOf(words);
    const file = join(folder, 'rules.nft');
    writeFileSync(file, toNftables(exportable(document)));
    run('ip', ['netns', 'exec', SERVER, 'nft', '-f', file]);
    const image = compile(document);
    const text = run('ip', ['netns', 'exec', CLIENT, process.execPath, '-e', CONNECT, JSON.stringify([SOURCES, ends])]);
    return (JSON.parse(text) as { from: string; host: string; port: number; answer: string }[]).map(({ from, host, port, answer }) => {
      const to = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
      const { verdict, application } = explain(image, question(from, to));
      // What goes to no VIP is not touched.
      return { flow: `${from} to ${to}`, answer, verdict: application === null ? 'allow' : verdict };
    });
  }

  it.each(DOCUMENTS)('lets in whom the policy lets in: %s', (_, words) => {
    const found = answers(words);
    expect(found.length).toBe(6 * 4 + 4 * 2);
    expect(found.filter(({ answer, verdict }) => answer !== verdict)).toEqual([]);
  });

  it('lets in fewer where the policy asks for more than addresses, and never more', () => {
    const found = answers({
      applications: {
        a: {
          vips: VIPS,
          rules: [
            { from: ['10.77.0.0/24'], protocols: ['tls'], action: 'deny' },
            { from: ['10.77.1.0/24'], protocols: ['http'], action: 'allow' },
            { from: ['10.77.0.0/24', '10.77.2.0/24'], action: 'allow' },
          ],
        },
      },
    });
    const allowed = found.filter(({ answer, flow }) => answer === 'allow' && !flow.endsWith(ELSEWHERE)).map(({ flow }) => flow);
    expect(allowed).toEqual(['10.77.2.1 to 10.78.0.1:8080', '10.77.2.1 to 10.78.0.1:8081', '10.77.2.1 to 10.78.0.2:8080']);
  });
});
