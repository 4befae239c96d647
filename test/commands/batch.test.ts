import { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerLines } from '../../proxy/commands/batch.ts';

const FLOW = '{"from":"127.0.0.2","to":"127.0.0.1:8080"}';

/** Runs a batch whose answer to a question is its path, and returns the answers line by line. */
async function run(chunks: readonly (string | Buffer)[], output = new Sink()): Promise<{ bad: number; lines: string[] }> {
  const input = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  const bad = await answerLines(input, output, (question) => ({ path: question.path }));
  await promisify(output.end.bind(output))();
  return { bad, lines: output.text.split('\n').slice(0, -1) };
}

class Sink extends Writable {
  text = '';
  writes = 0;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    this.writes += 1;
    setImmediate(done);
  }
}

function flow(path: string): string {
  return JSON.stringify({ from: '127.0.0.2', to: '127.0.0.1:8080', path });
}

describe('a batch', () => {
  it.each([
    ['one line', [`${FLOW}\n`], 1, 0],
    ['a last line without its end', [`${FLOW}\n${FLOW}`], 2, 0],
    ['nothing', [], 0, 0],
    ['lines that end in CR LF', [`${FLOW}\r\n${FLOW}\r\n`], 2, 0],
    ['an empty line', [`${FLOW}\n\n${FLOW}\n`], 3, 1],
    ['text that is not JSON', ['from 1 to 2\n'], 1, 1],
    ['a line beyond the bound', [`${flow(`/${'x'.repeat(70_000)}`)}\n${FLOW}\n`], 2, 1],
    ['a line beyond the bound in small pieces', [...new Array<string>(300).fill('x'.repeat(1000)), `\n${FLOW}\n`], 2, 1],
  ])('of %s is answered line by line', async (_, chunks, lines, bad) => {
    const result = await run(chunks);
    expect({ lines: result.lines.length, bad: result.bad }).toEqual({ lines, bad });
    expect(result.lines.filter((line) => 'error' in JSON.parse(line))).toHaveLength(bad);
  });

  it('keeps the order, with an error in the place of a bad line', async () => {
    const { lines } = await run([`${flow('/1')}\nbad\n${flow('/3')}\n`]);
    expect(lines.map((line) => JSON.parse(line))).toEqual([{ path: '/1' }, { error: 'not JSON' }, { path: '/3' }]);
  });

  it('is the same however its bytes are cut into chunks', async () => {
    const bytes = Buffer.from(`${flow('/grün')}\n${flow('/日本')}\nbad\n${flow('/👋')}`);
    const whole = await run([bytes]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const chunks = edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge));
        expect(await run(chunks)).toEqual(whole);
      }),
      { numRuns: 100 },
    );
  });

  it('writes in pieces and waits for a slow reader', async () => {
    const sink = new Sink({ highWaterMark: 1 });
    const { lines } = await run([`${flow(`/${'y'.repeat(200)}`)}\n`.repeat(2000)], sink);
    expect(lines).toHaveLength(2000);
    expect(sink.writes).toBeGreaterThan(1);
    expect(sink.writes).toBeLessThan(20);
  });
});
