/** What a command knows beyond the file when it judges flows by itself: the time, and what databases and name servers say now. */
import type { Document } from '../../config/document.ts';
import type { Circumstances } from '../../policy/compile.ts';
import { Sources } from '../sources/sources.ts';
import { unknownOf } from '../sources/unknown.ts';

export interface Learnt {
  readonly circumstances: Circumstances;
  /** What could not be learnt, one line each. It is unknown, and judged as such. */
  readonly warnings: readonly string[];
}

/** Reads the databases and asks for the names that the document speaks of. Where it speaks of none, nothing is read or asked. */
export async function learn(document: Document, now = Date.now()): Promise<Learnt> {
  const quiet = () => undefined;
  const sources = new Sources(document.process, { changed: quiet, trouble: quiet, recovered: quiet });
  try {
    const problems = await sources.want(document);
    const knowledge = sources.knowledge();
    return { circumstances: { now, knowledge }, warnings: [...problems, ...unknownOf(document, sources)] };
  } finally {
    sources.stop();
  }
}
