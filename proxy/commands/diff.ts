/** `bulkhead diff`: what a change of the file means, as the flows whose verdict differs. */
import { diffDocuments } from '../../policy/diff.ts';
import { describeDifference, differenceAsJson } from '../../policy/diff-text.ts';
import type { AdminWords } from './admin-client.ts';
import { laidOver, loadOverlay, overlayLine } from './beside-document.ts';
import { EXIT, print, printJson } from './exit.ts';
import { loadNamed } from './named-document.ts';
import { IN_FORCE } from './values.ts';

/** A terminal is told again after so many milliseconds, not more often. */
const PROGRESS_MS = 100;

export interface DiffWords extends AdminWords {
  readonly rules?: true;
}

/** Resolves to the exit status: no where anything differs in meaning. Each of the two is a file, `in-force` or `version:3`;
 * where one is in force, what holds on the node beside it is laid over both. */
export async function diff(oldFile: string, newFile: string, words: DiffWords): Promise<number> {
  const progress = progressOn(process.stderr);
  progress.say(`reading ${oldFile} and ${newFile}`);
  const documents = await loadNamed([oldFile, newFile], words);
  const overlay = oldFile === IN_FORCE || newFile === IN_FORCE ? await loadOverlay(words) : null;
  const laid = documents.map((document) => (overlay === null ? { document, conflicts: [] } : laidOver(document, overlay)));
  const difference = diffDocuments(laid[0]!.document, laid[1]!.document, {
    rules: words.rules === true,
    now: Date.now(),
    onProgress: (done, total) => progress.say(`comparing: ${done} of ${total} VIPs`),
  });
  progress.end();
  const line = overlay === null ? null : overlayLine(overlay);
  if (line !== null) process.stderr.write(`${line}\n`);
  for (const conflict of new Set(laid.flatMap(({ conflicts }) => conflicts))) process.stderr.write(`warning: ${conflict}\n`);
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
