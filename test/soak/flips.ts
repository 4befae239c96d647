/**
 * Live flows from many addresses (streams, kept-alive requests, upgraded connections, half-finished uploads) while the policy flips at random. After
 * each acknowledgement: no flow that is now denied may be alive, and none that was allowed all the time may have ended or lost a byte.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { freePort, startNode, startServer } from '../node/harness.ts';
import { KINDS, type Kind, type Talk, talk } from './clients.ts';

export interface FlipsSettings {
  readonly seconds: number;
  readonly seed: number;
  readonly flows: number;
  readonly workers: number;
  readonly progress?: (line: string) => void;
}

export interface FlipsReport {
  readonly flips: number;
  /** Flows that a flip ended, and flows that lived through one. */
  readonly cut: number;
  readonly kept: number;
  readonly slowestApplyMs: number;
  /** How long after the acknowledgement the last denied client saw its end: the way back to it through the kernel. */
  readonly slowestEndMs: number;
  /** What must not be; empty where all is well. */
  readonly faults: readonly string[];
}

/** How long a client's own end of a cut connection may take to hear of it, on a busy machine. */
const HEARD_MS = 2_000;

interface Member {
  readonly kind: Kind;
  readonly address: string;
  talk: Talk;
  allowed: boolean;
}

export async function flips({ seconds, seed, flows, workers, progress }: FlipsSettings): Promise<FlipsReport> {
  const random = generator(seed);
  const echo = await startServer((socket) => void socket.pipe(socket));
  const web = await startWeb();
  const ports = { tcp: await freePort(), http: await freePort() };
  const members = Array.from({ length: flows }, (_, i) => ({
    kind: KINDS[i % KINDS.length]!,
    address: `127.0.${10 + (i >>> 7)}.${1 + (i & 127)}`,
    allowed: true,
  }));
  const file = (denied: readonly string[]) => fileOf(ports, { tcp: echo.port, http: web.port }, denied, workers);
  const running = await startNode(file([]));
  const begin = (member: { kind: Kind; address: string }) =>
    talk(member.kind, member.kind === 'stream' ? ports.tcp : ports.http, member.address);
  const all: Member[] = members.map((member) => ({ ...member, talk: begin(member) }));
  const faults: string[] = [];
  const report = { flips: 0, cut: 0, kept: 0, slowestApplyMs: 0, slowestEndMs: 0, faults };
  const fault = (member: Member, what: string) => faults.push(`flip ${report.flips}, ${member.kind} from ${member.address}: ${what}`);
  try {
    const end = performance.now() + seconds * 1_000;
    while (performance.now() < end && faults.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 20 + random() * 300));
      const share = random() * 0.5;
      const denied = new Set(all.filter(() => random() < share).map(({ address }) => address));
      const before = performance.now();
      const result = await running.apply(file([...denied]));
      const acknowledged = performance.now();
      if (!result.ok) throw new Error(result.problems.join('\n'));
      report.flips++;
      report.slowestApplyMs = Math.max(report.slowestApplyMs, acknowledged - before);
      const live = await running.node.liveFlows(10_000);
      for (const flow of live) {
        const address = flow.source.replace(/:[0-9]+$/, '');
        if (denied.has(address) && flow.generation <= result.generation)
          faults.push(`flip ${report.flips}: ${flow.source} is alive after it: ${JSON.stringify(flow)}`);
      }
      for (const member of all) {
        if (member.talk.wrong !== null) fault(member, member.talk.wrong);
        if (denied.has(member.address)) {
          if (member.allowed && !(await endsWithin(member.talk, HEARD_MS)))
            fault(member, `still open ${HEARD_MS} ms after the acknowledgement`);
          if (member.allowed) report.cut++;
          member.allowed = false;
        } else if (member.allowed) {
          if (member.talk.ended !== null) fault(member, `ended though it was allowed all the time: ${member.talk.ended}`);
          report.kept++;
        } else {
          member.allowed = true;
          member.talk = begin(member);
        }
      }
      report.slowestEndMs = Math.max(report.slowestEndMs, performance.now() - acknowledged);
      if (report.flips % 50 === 0) progress?.(`${report.flips} flips, ${report.cut} flows cut, ${report.kept} kept`);
    }
    if (!all.some((member) => member.talk.carried)) faults.push('nothing was ever carried');
  } finally {
    for (const member of all) member.talk.end();
    await running.stop();
    await Promise.all([echo.close(), web.close()]);
  }
  return report;
}

async function endsWithin(member: Talk, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([member.gone(), late]);
  clearTimeout(timer);
  return member.ended !== null;
}

type Ports = Readonly<Record<'tcp' | 'http', number>>;

function fileOf(ports: Ports, servers: Ports, denied: readonly string[], workers: number): string {
  const rules = `[${denied.length === 0 ? '' : `{ name: no, from: [${denied.join(', ')}], action: deny }, `}{ name: yes, action: allow }]`;
  const application = (mode: 'tcp' | 'http') => `{ vips: [127.0.0.1:${ports[mode]}], mode: ${mode}, pool: ${mode}, rules: ${rules} }`;
  return `
version: 1
process: { workers: ${workers} }
pools:
  tcp: { servers: [127.0.0.1:${servers.tcp}] }
  http: { servers: [127.0.0.1:${servers.http}] }
applications:
  tcp: ${application('tcp')}
  http: ${application('http')}
`;
}

/** Answers with the path, counts what is uploaded, and echoes what comes after an upgrade. */
async function startWeb(): Promise<{ port: number; close(): Promise<void> }> {
  const upgraded = new Set<Socket>();
  const server = createServer({ keepAliveTimeout: 60_000 }, (request: IncomingMessage, response) => {
    let length = 0;
    request.on('data', (data: Buffer) => {
      length += data.length;
    });
    request.on('end', () => response.end(request.method === 'POST' ? String(length) : request.url));
    request.on('error', () => response.destroy());
  });
  server.on('upgrade', (_request, socket: Socket, head: Buffer) => {
    upgraded.add(socket);
    socket.on('error', () => undefined);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    if (head.length > 0) socket.write(head);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of upgraded) socket.destroy();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** Mulberry32: numbers from 0 up to 1 that a seed repeats. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
