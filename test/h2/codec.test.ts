import { once } from 'node:events';
import { createServer as createHttp2Server, type IncomingHttpHeaders } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Allowance } from '../../proxy/h2/allowance.ts';
import { BodyText } from '../../proxy/h2/body-text.ts';
import { FieldDecoder } from '../../proxy/h2/field-decoder.ts';
import { FieldEncoder } from '../../proxy/h2/field-encoder.ts';
import { MALFORMED } from '../../proxy/h2/field-line.ts';
import { decodedBytesMax, decodeHuffman } from '../../proxy/h2/huffman.ts';
import { blockMax } from '../../proxy/h2/stream-keeper.ts';
import { FLAG, frame, PREFACE, TYPE } from './frames.ts';

type Field = readonly [string, string];

function decode(decoder: FieldDecoder, bytes: Buffer): Field[] | null {
  const fields: Field[] = [];
  const line = (text: Buffer, nameLength: number, end: number) => {
    expect(text.toString('latin1', nameLength, nameLength + 2)).toBe(': ');
    expect(text.toString('latin1', end - 2, end)).toBe('\r\n');
    fields.push([text.toString('latin1', 0, nameLength), text.toString('latin1', nameLength + 2, end - 2)]);
  };
  return decoder.decode(bytes, 0, bytes.length, { line }) ? fields : null;
}

function encode(encoder: FieldEncoder, fields: readonly Field[]): Buffer {
  const text = Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(''), 'latin1');
  const out = Buffer.alloc(blockMax(text.length));
  let at = encoder.begin(out, 0);
  for (let from = 0; from < text.length; ) {
    const lineEnd = text.indexOf('\r\n', from);
    at = encoder.line(out, at, text, from, text.indexOf(': ', from), lineEnd);
    from = lineEnd + 2;
  }
  return out.subarray(0, at);
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const FIRST = [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'www.example.com'],
] as const;

describe('the field decoder', () => {
  it.each([
    [
      'requests without Huffman (RFC 7541 C.3)',
      [
        '828684410f7777772e6578616d706c652e636f6d',
        '828684be58086e6f2d6361636865',
        '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
      ],
    ],
    [
      'requests with Huffman (RFC 7541 C.4)',
      ['828684418cf1e3c2e5f23a6ba0ab90f4ff', '828684be5886a8eb10649cbf', '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'],
    ],
  ])('reads %s', (_name, blocks) => {
    const decoder = new FieldDecoder();
    expect(blocks.map((block) => decode(decoder, hex(block)))).toEqual([
      FIRST,
      [...FIRST, ['cache-control', 'no-cache']],
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', '/index.html'],
        [':authority', 'www.example.com'],
        ['custom-key', 'custom-value'],
      ],
    ]);
  });

  it('forgets what no longer fits, oldest first', () => {
    const decoder = new FieldDecoder();
    const large = (name: string) =>
      Buffer.concat([Buffer.from([0x40, 1]), Buffer.from(name), Buffer.from([0x7f, 0xd0, 0x0e]), Buffer.alloc(1_999, name)]);
    expect(decode(decoder, Buffer.concat([large('a'), large('b')]))).toHaveLength(2);
    expect(decode(decoder, hex('bf'))![0]![0]).toBe('a');
    expect(decode(decoder, large('c'))).toHaveLength(1);
    expect(decode(decoder, hex('be'))![0]![0]).toBe('c');
    expect(decode(decoder, hex('bf'))![0]![0]).toBe('b');
    expect(decode(decoder, hex('c0'))).toBeNull();
    // A table of no size holds nothing, and a larger one again does not bring it back.
    expect(decode(decoder, hex('20'))).toEqual([]);
    expect(decode(decoder, hex('3fe11f be'))).toBeNull();
  });

  it('is emptied by a field that is larger than all of it, and holds that one neither', () => {
    const decoder = new FieldDecoder();
    expect(decode(decoder, hex('40 01 61 01 62'))).toHaveLength(1);
    const huge = Buffer.concat([hex('40 01 68 7f 89 26'), Buffer.alloc(5_000, 'h')]);
    expect(decode(decoder, huge)).toEqual([['h', 'h'.repeat(5_000)]]);
    expect(decode(decoder, hex('be'))).toBeNull();
  });

  it('judges names and values once, also those that come by number', () => {
    const kinds: number[] = [];
    const decoder = new FieldDecoder();
    const take = (bytes: Buffer) => decoder.decode(bytes, 0, bytes.length, { line: (_text, _name, _end, kind) => void kinds.push(kind) });
    take(Buffer.concat([hex('40 03'), Buffer.from('x-Y'), hex('01 61'), hex('be'), hex('40 01 78 02 0a 61'), hex('be')]));
    expect(kinds).toEqual([MALFORMED, MALFORMED, MALFORMED, MALFORMED]);
  });

  it('never throws at hostile blocks, and reads none beyond its end', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (blocks) => {
        const decoder = new FieldDecoder();
        for (const bytes of blocks) decode(decoder, Buffer.from(bytes));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('Huffman', () => {
  it('gives back each byte, and knows where a string may end', async () => {
    // The codes come from the other side: nghttp2, within Node, sends whatever is shorter by Huffman.
    const text = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
    const got = await fromNode({ 'x-all': `a${text}a`, 'x-digits': '0123456789'.repeat(20) });
    expect(got).toContainEqual(['x-all', `a${text}a`]);
    expect(got).toContainEqual(['x-digits', '0123456789'.repeat(20)]);
  });

  it.each([
    ['a whole byte of padding', '1f ff'],
    ['padding of zeros', '18'],
    ['the end of a string within it', 'ffffffff'],
  ])('refuses %s', (_name, bytes) => {
    const coded = hex(bytes);
    expect(decodeHuffman(coded, 0, coded.length, Buffer.alloc(decodedBytesMax(coded.length)), 0)).toBe(-1);
  });
});

/** What a client in Node sends as the fields of a request, as our decoder reads it. */
async function fromNode(headers: Record<string, string>): Promise<Field[]> {
  const { connect: connectHttp2 } = await import('node:http2');
  const { createServer } = await import('node:net');
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  client.on('error', () => undefined);
  client.request({ ':path': '/', ...headers }).on('error', () => undefined);
  const [socket] = await once(server, 'connection');
  let bytes = Buffer.alloc(0);
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk]);
    for (let at = PREFACE.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
      const end = at + 9 + bytes.readUIntBE(at, 3);
      if (bytes[at + 3] !== TYPE.headers || end > bytes.length) continue;
      const from = at + 9 + ((bytes[at + 4]! & FLAG.priority) !== 0 ? 5 : 0);
      client.destroy();
      server.close();
      return decode(new FieldDecoder(), bytes.subarray(from, end))!;
    }
  }
  throw new Error('no request came');
}

const token = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
const word = fc.stringMatching(/^[!-~]([ -~]{0,40}[!-~])?$/);
const known = fc.constantFrom('date', 'content-type', 'set-cookie', 'authorization', 'etag', 'server', 'x-request-id');

describe('the field encoder', () => {
  it('is read by our decoder as it was meant, whatever the table held before, and whatever its size', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.option(fc.integer({ min: 0, max: 5_000 })),
            fc.array(fc.tuple(fc.oneof(known, token), fc.oneof(fc.constantFrom('a', 'b', 'text/plain'), word)), { maxLength: 12 }),
          ),
          { maxLength: 30 },
        ),
        (blocks) => {
          const encoder = new FieldEncoder();
          const decoder = new FieldDecoder();
          for (const [size, fields] of blocks) {
            if (size !== null) encoder.resize(size);
            expect(decode(decoder, encode(encoder, fields))).toEqual(fields);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('tells the peer of the smallest table since the last block, and of the one that holds', () => {
    const encoder = new FieldEncoder();
    encode(encoder, [['x-a', 'b']]);
    encoder.resize(0);
    encoder.resize(100);
    expect(encode(encoder, []).equals(hex('20 3f45'))).toBe(true);
    expect(encode(encoder, [['x-a', 'b']])[0]).toBe(0x40);
  });

  it('says a field that it has said before in a byte, unless it is a secret', () => {
    const encoder = new FieldEncoder();
    const fields: Field[] = [
      ['content-type', 'text/plain'],
      ['x-a', 'b'],
      ['cookie', 'secret'],
      ['authorization', 'Bearer x'],
    ];
    encode(encoder, fields);
    expect(encode(encoder, fields.slice(0, 2))).toHaveLength(2);
    const again = encode(encoder, fields.slice(2));
    expect(again.includes('secret')).toBe(true);
    // RFC 7541 §6.2.3: never to be put into a table by anybody on the way.
    expect(again[0]! & 0xf0).toBe(0x10);
  });

  it('makes no block longer than the room that is kept for it', () => {
    fc.assert(
      fc.property(token, fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 20_000 }), (name, value) => {
        const line = Buffer.from(`${name}:${value}`);
        const out = Buffer.alloc(blockMax(line.length));
        expect(new FieldEncoder().line(out, 0, line, 0, name.length, line.length)).toBeLessThanOrEqual(out.length);
      }),
    );
  });

  it('is read by nghttp2 as it was meant', async () => {
    const heads: IncomingHttpHeaders[] = [];
    const server = createHttp2Server();
    server.on('stream', (stream, headers) => {
      heads.push(headers);
      stream.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.write(Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)]));
    const encoder = new FieldEncoder();
    const fields: Field[] = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'a.test'],
      [':path', '/x'],
      ['X-Mixed', 'CaSe'],
      ['x-long', 'l'.repeat(5_000)],
      ['accept', '*/*'],
      ['cookie', 'a=b'],
    ];
    for (let i = 0; i < 20; i++)
      socket.write(
        frame(
          TYPE.headers,
          FLAG.endHeaders | FLAG.endStream,
          i * 2 + 1,
          encode(encoder, [...fields, ['x-turn', String(i % 3)], ['x-once', 'o'.repeat(i * 10)]]),
        ),
      );
    while (heads.length < 20) await once(server, 'stream');
    expect(
      heads.map((head) => [head[':authority'], head['x-mixed'], head['x-long']?.length, head['x-turn'], head['x-once']?.length]),
    ).toEqual(heads.map((_, i) => ['a.test', 'CaSe', 5_000, String(i % 3), i * 10]));
    socket.destroy();
    server.close();
  });
});

describe('a body as text', () => {
  it('gives its payload, its trailers and its end, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 50 }),
        (chunks, hasTrailers, cuts) => {
          const trailers = hasTrailers ? 'sum: 1\r\nx-y: z\r\n' : '';
          const text = Buffer.concat([
            ...chunks.flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)};x=y\r\n`), Buffer.from(chunk), Buffer.from('\r\n')]),
            Buffer.from(`0\r\n${trailers}\r\n`),
          ]);
          const body = new BodyText();
          body.chunked();
          const got: Buffer[] = [];
          let start = 0;
          for (let i = 0; start < text.length; i++) {
            const end = Math.min(text.length, start + cuts[i % cuts.length]!);
            for (let at = start; at < end; ) {
              at = body.next(text, at, end);
              got.push(Buffer.from(text.subarray(body.from, body.to)));
            }
            expect(body.done).toBe(end === text.length);
            start = end;
          }
          expect(Buffer.concat(got).equals(Buffer.concat(chunks))).toBe(true);
          expect(body.trailers.toString()).toBe(trailers);
        },
      ),
    );
  });
});

describe('an allowance', () => {
  it('lets a burst pass, and then its pace', () => {
    const allowance = new Allowance(3, 10);
    const taken = (now: number) => Array.from({ length: 5 }, () => allowance.take(now)).filter(Boolean).length;
    expect([taken(0), taken(0), taken(100), taken(150), taken(350), taken(10_000)]).toEqual([3, 0, 1, 0, 2, 3]);
  });
});
