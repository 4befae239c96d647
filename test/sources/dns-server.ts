/** A small name server on loopback (RFC 1035): answers A and AAAA from a table that the test changes as it goes. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { parseAddress } from '../../config/address.ts';

export interface Answer {
  readonly addresses: readonly string[];
  readonly ttl: number;
}

export interface NameServer {
  /** `address:port`. */
  readonly text: string;
  /** By name; `fail` answers SERVFAIL, `silent` not at all, a missing name NXDOMAIN. */
  readonly zone: Map<string, Answer | 'fail' | 'silent'>;
  /** Questions so far. */
  asked(): number;
  close(): Promise<void>;
}

export async function startNameServer(): Promise<NameServer> {
  const socket = createSocket('udp4');
  const zone: NameServer['zone'] = new Map();
  let asked = 0;
  socket.on('message', (query, peer) => {
    asked++;
    const reply = answer(query, zone);
    if (reply !== null) socket.send(reply, peer.port, peer.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    text: `127.0.0.1:${socket.address().port}`,
    zone,
    asked: () => asked,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function answer(query: Buffer, zone: NameServer['zone']): Buffer | null {
  const labels: string[] = [];
  let at = 12;
  for (; query[at] !== 0; at += query[at]! + 1) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  const known = zone.get(labels.join('.').toLowerCase());
  if (known === 'silent') return null;
  const code = known === undefined ? 3 : known === 'fail' ? 2 : 0;
  const family = type === 28 ? 6 : 4;
  const records =
    known === undefined || known === 'fail'
      ? []
      : known.addresses
          .map((text) => parseAddress(text)!)
          .filter((address) => address.family === family)
          .map((address) => {
            const data = Buffer.alloc(family === 4 ? 4 : 16);
            const words = family === 4 ? address.words.slice(3) : address.words;
            for (const [i, word] of words.entries()) data.writeUInt32BE(word, i * 4);
            const head = Buffer.alloc(12);
            head.writeUInt16BE(0xc00c, 0);
            head.writeUInt16BE(type, 2);
            head.writeUInt16BE(1, 4);
            head.writeUInt32BE(known.ttl, 6);
            head.writeUInt16BE(data.length, 10);
            return Buffer.concat([head, data]);
          });
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8580 | code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  return Buffer.concat([head, question, ...records]);
}
