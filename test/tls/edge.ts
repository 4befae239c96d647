/** A node that ends TLS on one VIP, and clients of it. */
import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { freePort, type RunningNode, startNode } from '../node/harness.ts';
import type { Authority, Issued } from './authority.ts';

export interface Edge {
  readonly port: number;
  readonly at: RunningNode;
  /** Handshakes so far, by result. */
  handshakes(): Record<string, number>;
  apply(more: EdgeWords): ReturnType<RunningNode['apply']>;
}

export interface EdgeWords {
  /** Of the application; absent: none. */
  readonly tls?: string;
  readonly mode?: 'http' | 'tcp';
  readonly server: number;
  readonly rules?: string;
  readonly workers?: number;
  /** Further keys of the pool. */
  readonly pool?: string;
  readonly limits?: string;
}

export async function startEdge(words: EdgeWords): Promise<Edge> {
  const port = await freePort();
  const at = await startNode(yamlOf(port, words));
  return {
    port,
    at,
    handshakes: () => Object.fromEntries(at.application('shop').handshakes.map(({ result, count }) => [result, count])),
    apply: (more) => at.apply(yamlOf(port, more)),
  };
}

export function yamlOf(port: number, { tls, mode = 'http', server, rules, workers = 1, pool = '', limits = '' }: EdgeWords): string {
  return `
version: 1
process: { workers: ${workers} }
pools:
  web: { servers: ["127.0.0.1:${server}"]${pool === '' ? '' : `, ${pool}`} }
applications:
  shop:
    vips: ["127.0.0.1:${port}"]
    mode: ${mode}
    pool: web${tls === undefined ? '' : `\n    tls: ${tls}`}
    timeouts: { handshake: 1s }
    limits: { ${limits} }
    rules: ${rules ?? '[{ name: all, action: allow }]'}
`;
}

/** What `certificates:` takes. */
export function pairs(...all: readonly Issued[]): string {
  return all.map(({ certificate, key }) => `{ certificate: ${certificate}, key: ${key} }`).join(', ');
}

/** A client that is through its handshake. */
export function dial(port: number, authority: Authority, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ca: readFileSync(authority.ca), servername: 'shop.example.com', ...options });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

/** The whole answer to one request, after which the connection ends. Fails with what the connection failed with. */
export function ask(socket: TLSSocket | Socket, path = '/', method = 'GET', body: Buffer = Buffer.alloc(0)): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => void parts.push(part));
    socket.once('end', () => resolve(Buffer.concat(parts).toString('latin1')));
    socket.once('error', reject);
    socket.write(`${method} ${path} HTTP/1.1\r\nhost: shop.example.com\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`);
    if (body.length > 0) socket.write(body);
  });
}

/** Sends bytes in the clear; answers what came until the end. */
export function tell(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1');
    let text = '';
    socket.on('data', (part: Buffer) => {
      text += part.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(text));
    socket.write(bytes);
  });
}
