/**
 * Proxies in front that have lost their PROXY header, found in what the workers count: every connection of theirs ends then, while all else about
 * the node is well.
 */
import type { Document } from '../../config/document.ts';
import type { Found } from '../observe/problems.ts';
import type { Book } from '../shared/book.ts';
import { PROXY_HEADERS, PROXY_RESULTS, type ProxyResult } from '../shared/ledger.ts';

/** A proxy that sends good headers to a busy application does so more often; and so late is the end of the trouble told where nobody comes any more. */
const REMEMBERED_MS = 60_000;
/** Those that name nobody prove nothing: they come with the checks of a proxy whose traffic has none. And checks by a bare connection are closed before. */
const REFUSED: readonly ProxyResult[] = ['none', 'malformed', 'too-long', 'checksum', 'timeout'];

/** What was counted by the last look, and when that was last more than before. */
interface Seen {
  readonly accepted: number;
  readonly acceptedAt: number;
  readonly refused: readonly number[];
  readonly refusedAt: number;
}
const NOTHING: Seen = {
  accepted: 0,
  acceptedAt: Number.NEGATIVE_INFINITY,
  refused: REFUSED.map(() => 0),
  refusedAt: Number.NEGATIVE_INFINITY,
};

export class ProxyWatch {
  readonly #book: Pick<Book, 'sums'>;
  #seen = new Map<string, Seen>();

  constructor(book: Pick<Book, 'sums'>) {
    this.#book = book;
  }

  /** One look at the applications of a document, in milliseconds of a clock that only goes forward: those whose proxies send no good header. */
  find({ applications }: Pick<Document, 'applications'>, now: number): Found[] {
    const before = this.#seen;
    this.#seen = new Map();
    const found: Found[] = [];
    for (const { name, proxyProtocol } of applications) {
      if (proxyProtocol === undefined) continue;
      const last = before.get(name) ?? NOTHING;
      const sums = this.#book.sums(name, PROXY_HEADERS, PROXY_RESULTS.length);
      const of = (result: ProxyResult) => sums[PROXY_RESULTS.indexOf(result)]!;
      const refused = REFUSED.map(of);
      const accepted = of('accepted');
      const seen: Seen = {
        accepted,
        acceptedAt: accepted > last.accepted ? now : last.acceptedAt,
        refused,
        refusedAt: refused.some((count, i) => count > last.refused[i]!) ? now : last.refusedAt,
      };
      this.#seen.set(name, seen);
      if (now - seen.refusedAt >= REMEMBERED_MS || now - seen.acceptedAt < REMEMBERED_MS) continue;
      const counts = REFUSED.flatMap((result, i) => (refused[i] === 0 ? [] : [`${result}: ${refused[i]}`]));
      found.push([
        name,
        `Proxies in front of application ${name} send no PROXY header that is good, and their connections end (since the start: ${counts.join(', ')}). ` +
          'Have them send it, or take them out of proxy-protocol; their addresses are in the journal.',
      ]);
    }
    return found;
  }
}
