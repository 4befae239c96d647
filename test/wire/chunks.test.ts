import { describe, expect, it } from 'vitest';
import { createNodeLimits, readNodeLimits } from '../../proxy/shared/node-limits.ts';
import {
  BULK_BYTES,
  BULK_MEMORY_BYTES_MAX,
  type Chunk,
  giveChunk,
  LARGE_BYTES,
  SMALL_BYTES,
  takeBulk,
  takeChunk,
} from '../../proxy/wire/chunks.ts';

describe('chunks', () => {
  it.each([
    [1, SMALL_BYTES],
    [SMALL_BYTES, SMALL_BYTES],
    [SMALL_BYTES + 1, LARGE_BYTES],
    [LARGE_BYTES, LARGE_BYTES],
  ])('of %i bytes come from the pool of %i, empty', (wanted, size) => {
    const chunk = takeChunk(wanted);
    expect([chunk.size, chunk.bytes.length, chunk.length]).toEqual([size, size, 0]);
    chunk.length = 7;
    giveChunk(chunk);
    const again = takeChunk(wanted);
    expect(again).toBe(chunk);
    expect(again.length).toBe(0);
    giveChunk(again);
  });

  it('given while they are written go back after the last write, not before', () => {
    const chunk = takeChunk(10);
    chunk.writing = 2;
    giveChunk(chunk);
    const other = takeChunk(10);
    expect(other).not.toBe(chunk);
    chunk.written();
    const third = takeChunk(10);
    expect(third).not.toBe(chunk);
    chunk.written();
    const fourth = takeChunk(10);
    expect(fourth).toBe(chunk);
    for (const one of [other, third, fourth]) giveChunk(one);
    expect(new Set([takeChunk(10), takeChunk(10), takeChunk(10)]).size).toBe(3);
  });

  it('show what is filled, from the front and from the middle', () => {
    const chunk = takeChunk(10);
    chunk.length = chunk.bytes.write('abcdef');
    expect(Buffer.from(chunk.view(0, 6)).toString()).toBe('abcdef');
    expect(Buffer.from(chunk.view(2, 4)).toString()).toBe('cd');
    expect(chunk.view(0, 6)).toBe(chunk.view(0, 6));
    expect(Buffer.from(chunk.view(0, 3)).toString()).toBe('abc');
    giveChunk(chunk);
  });

  it('for bulk are bounded in memory; beyond it a connection gets none and the refusal is counted', () => {
    const most = BULK_MEMORY_BYTES_MAX / BULK_BYTES;
    const out: Chunk[] = [];
    for (let chunk = takeBulk(); chunk !== null; chunk = takeBulk()) out.push(chunk);
    expect(out).toHaveLength(most);
    expect(readNodeLimits(createNodeLimits(0))).toContainEqual({ limit: 'bulk-memory', hits: 1 });
    const [writing] = out;
    writing!.writing = 1;
    giveChunk(writing!);
    expect(takeBulk()).toBeNull();
    writing!.written();
    expect(takeBulk()).toBe(writing);
    for (const chunk of out) giveChunk(chunk);
    expect(takeBulk()).not.toBeNull();
  });
});
