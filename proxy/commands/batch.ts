/** Many questions as JSON lines in, one answer a line out, in order. Holds one chunk of input and one of output, however long the batch is. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { FlowQuestion } from '../../config/document.ts';
import { parseQuestion } from '../../config/question.ts';

/** A question has some twenty short fields; a request target may take 8 KiB of it. */
const LINE_CHARACTERS_MOST = 65_536;
/** Answers are written in pieces of about this size: a write a line would be a system call a line. */
const WRITE_CHARACTERS = 65_536;

/**
 * Answers every line of `input` on `output`. A line that is no question is answered by `{ "error": … }` in its place.
 * Returns how many lines were bad. Waits where `output` is slower than `input`.
 */
export async function answerLines(
  input: AsyncIterable<Buffer>,
  output: Writable,
  answer: (question: FlowQuestion) => unknown,
): Promise<number> {
  const decoder = new StringDecoder('utf8');
  let bad = 0;
  let rest = '';
  let answers = '';
  const take = (line: string) => {
    const reply = answerLine(line, answer);
    if (reply.bad) bad += 1;
    answers += `${reply.text}\n`;
  };
  const write = async () => {
    const text = answers;
    answers = '';
    if (!output.write(text)) await once(output, 'drain');
  };

  for await (const chunk of input) {
    const text = rest + decoder.write(chunk);
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      take(text.slice(start, end));
      start = end + 1;
      if (answers.length >= WRITE_CHARACTERS) await write();
    }
    // Whoever writes one question and waits gets its answer.
    if (answers !== '') await write();
    rest = text.slice(start);
    // One character beyond the bound is enough to know that the line is too long.
    if (rest.length > LINE_CHARACTERS_MOST) rest = rest.slice(0, LINE_CHARACTERS_MOST + 1);
  }
  rest += decoder.end();
  if (rest !== '') take(rest);
  if (answers !== '') await write();
  return bad;
}

function answerLine(line: string, answer: (question: FlowQuestion) => unknown): { text: string; bad: boolean } {
  if (line.length > LINE_CHARACTERS_MOST) return badLine(`the line is longer than ${LINE_CHARACTERS_MOST} characters`);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return badLine(line.trim() === '' ? 'the line is empty' : 'not JSON');
  }
  const reading = parseQuestion(withoutNulls(value));
  return reading.ok ? { text: JSON.stringify(answer(reading.question)), bad: false } : badLine(reading.message);
}

/** Programs write null for what they do not say. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !Object.values(value).includes(null)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}

function badLine(error: string): { text: string; bad: boolean } {
  return { text: JSON.stringify({ error }), bad: true };
}
