/** `bulkhead diff`: what a change of the file means, as the flows whose verdict differs. */
import { diffDocuments } from '../../policy/diff.ts';
import { describeDifference, differenceAsJson } from '../../policy/diff-text.ts';
import type { AdminWords } from './admin-client.ts';
import { EXIT, print, printJson } from './exit.ts';
import { loadNamed } from './named-document.ts';

/** A terminal is told again after so many milliseconds, not more often. */
const PROGRESS_MS = 100;

export interface DiffWords extends AdminWords {
  readonly rules?: true;
}

/** Resolves to the exit status: no where anything differs in meaning. Each of the two is a file, `in-force` or `version:3`. */
export async function diff(oldFile: string, newFile: string, words: DiffWords): Promise<number> {
  const progress = progressOn(process.stderr);
  progress.say(`reading ${oldFile} and ${newFile}`);
  const [old, next] = await loadNamed([oldFile, newFile], words);
  const difference = diffDocuments(old!, next!, {
    rules: words.rules === true,
    now: Date.now(),
    onProgress: (done, total) => progress.say(`comparing: ${done} of ${total} VIPs`),
  });
  progress.end();
  if (words.json) printJson(differenceAsJson(difference));
  else print(...describeDifference(difference));
  return difference.differs ? EXIT.no : EXIT.yes;
}

/** One line that is written over; nothing where standard error is no terminal. */
function progressOn(stream: NodeJS.WriteStream): { say(text: string): void; end(): void } {
  if (!stream.isTTY) return { say: () => {}, end: () => {} };
  let said = 0;
  return {
    say(text) {
      const now = performance.now();
      if (said !== 0 && now - said < PROGRESS_MS) return;
      said = now;
      stream.write(`\r\u001b[K${text}`);
    },
    end: () => void stream.write('\r\u001b[K'),
  };
}
