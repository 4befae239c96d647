import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createRing, RING_BYTES, RingReader, RingWriter } from '../../proxy/shared/ring.ts';

function read(reader: RingReader): { bytes: Buffer; records: number; dropped: number } {
  const parts: Buffer[] = [];
  let records = 0;
  const dropped = reader.drain((bytes, count) => {
    parts.push(Buffer.from(bytes));
    records += count;
  });
  return { bytes: Buffer.concat(parts), records, dropped };
}

/** Writes one record and lets the reader see it. */
function put(writer: RingWriter, bytes: Buffer, length: number, denied = false): boolean {
  const written = writer.write(bytes, length, denied);
  writer.publish();
  return written;
}

const RING = new URL('../../proxy/shared/ring.ts', import.meta.url).href;

describe('the ring', () => {
  it('gives back what was written, records counted, also across its seam', () => {
    const ring = createRing();
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const line = Buffer.alloc(100_003);
    for (let round = 0; round < 100; round++) {
      line.fill(round);
      expect(put(writer, line, line.length)).toBe(true);
      const got = read(reader);
      expect(got.bytes.equals(line)).toBe(true);
      expect([got.records, got.dropped]).toEqual([1, 0]);
    }
    expect(read(reader)).toMatchObject({ records: 0, dropped: 0 });
  });

  it('drops and counts what finds no room, keeps what it had, and takes more once it is read', () => {
    const ring = createRing();
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const half = Buffer.alloc(RING_BYTES / 2, 'a');
    expect([put(writer, half, half.length), writer.pressing]).toEqual([true, false]);
    expect([put(writer, half, half.length), writer.pressing]).toEqual([true, true]);
    expect(put(writer, half, 1)).toBe(false);
    expect(put(writer, half, 1)).toBe(false);
    const full = read(reader);
    expect([full.bytes.length, full.records, full.dropped]).toEqual([RING_BYTES, 2, 2]);
    expect(put(writer, half, 1)).toBe(true);
    expect(read(reader)).toMatchObject({ records: 1, dropped: 0 });
  });

  it('tells of a denial with the bytes that hold it, also of one that is published while it is read', () => {
    const ring = createRing();
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const seen: string[] = [];
    const drain = () => reader.drain((bytes, _records, denials) => seen.push(`${bytes.toString('latin1')} ${denials}`));
    const publish = (text: string, denied: boolean) => put(writer, Buffer.from(text), text.length, denied);
    publish('allowed', false);
    const { load } = Atomics;
    const looking = vi.spyOn(Atomics, 'load').mockImplementationOnce(((words: Int32Array, at: number) => {
      const value = load(words, at);
      // The writer is a thread of its own, and may be as quick as that.
      publish('denied', true);
      return value;
    }) as typeof Atomics.load);
    drain();
    looking.mockRestore();
    drain();
    publish('allowed', false);
    drain();
    expect(seen.slice(1)).toEqual(['denied true', 'allowed false']);
  });

  it('shows a record when it is published, or when a few more have come', () => {
    const ring = createRing();
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const line = Buffer.from('line');
    writer.write(line, 4, false);
    expect(read(reader).records).toBe(0);
    for (let i = 0; i < 15; i++) writer.write(line, 4, false);
    expect(read(reader).records).toBe(16);
  });

  it('says whether a denial is among what it hands over', () => {
    const ring = createRing();
    const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
    const denials: boolean[] = [];
    const drain = () => reader.drain((_bytes, _records, denied) => void denials.push(denied));
    put(writer, Buffer.from('a'), 1);
    drain();
    put(writer, Buffer.from('b'), 1, true);
    put(writer, Buffer.from('c'), 1);
    drain();
    put(writer, Buffer.from('d'), 1);
    drain();
    expect(denials).toEqual([false, true, false]);
  });

  it('goes on after its writer died and another took over', () => {
    const ring = createRing();
    const reader = new RingReader(ring);
    put(new RingWriter(ring), Buffer.from('first'), 5);
    put(new RingWriter(ring), Buffer.from('second'), 6);
    expect(read(reader)).toMatchObject({ bytes: Buffer.from('firstsecond'), records: 2 });
  });

  it('agrees with a queue on any run of writes and reads', () => {
    const step = fc.oneof(fc.record({ write: fc.integer({ min: 1, max: 900_000 }) }), fc.constant({ write: 0 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ring = createRing();
        const [writer, reader] = [new RingWriter(ring), new RingReader(ring)];
        let queue = Buffer.alloc(0);
        let dropped = 0;
        let mark = 0;
        for (const { write } of steps) {
          if (write > 0) {
            const bytes = Buffer.alloc(write, ++mark);
            const room = queue.length + write <= RING_BYTES;
            expect(put(writer, bytes, write)).toBe(room);
            if (room) queue = Buffer.concat([queue, bytes]);
            else dropped++;
          } else {
            const got = read(reader);
            expect(got.bytes.equals(queue)).toBe(true);
            expect(got.dropped).toBe(dropped);
            queue = Buffer.alloc(0);
            dropped = 0;
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('carries every record in order between two threads, and loses none but those it counts', async () => {
    const ring = createRing();
    const count = 200_000;
    const worker = new Worker(
      `import { workerData } from 'node:worker_threads';
       import { RingWriter } from ${JSON.stringify(RING)};
       const writer = new RingWriter(workerData.ring);
       const line = Buffer.alloc(64);
       for (let i = 0; i < workerData.count; i++) {
         const length = line.write(i + '\\n');
         writer.write(line, length, false);
       }
       writer.publish();`,
      { eval: true, execArgv: ['--input-type=module'], workerData: { ring, count } },
    );
    const reader = new RingReader(ring);
    const ended = new Promise<boolean>((resolve) => worker.once('exit', () => resolve(true)));
    let over = false;
    void ended.then(() => (over = true));
    let rest = '';
    let last = -1;
    let seen = 0;
    let records = 0;
    let dropped = 0;
    const take = () => {
      const got = read(reader);
      dropped += got.dropped;
      records += got.records;
      const lines = (rest + got.bytes.toString('latin1')).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const number = Number(line);
        if (!(number > last)) throw new Error(`${line} after ${last}`);
        last = number;
        seen++;
      }
    };
    while (!over) {
      take();
      await new Promise((resolve) => setImmediate(resolve));
    }
    take();
    expect(rest).toBe('');
    expect(seen + dropped).toBe(count);
    expect(records).toBe(seen);
  });
});
