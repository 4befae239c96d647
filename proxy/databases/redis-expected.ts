/**
 * What a client of Redis is still to be answered, in the order in which it asked: replies of the server, and words of our own between them. Replies
 * that are nothing special are a number, however many there are.
 */

export type Expected =
  /** So many replies go through as they are. */
  | number
  /** Ours, in the place of a command that no server saw. */
  | { readonly kind: 'words'; readonly words: Buffer }
  /** The server's, which tells whether somebody is logged in. */
  | { readonly kind: 'login'; readonly user: string }
  /** The server's, for which the client gets ours. */
  | { readonly kind: 'instead'; readonly words: Buffer };

export class ExpectedReplies {
  private readonly queue: Expected[] = [];
  private special = 0;

  /** Those that are more than a number. */
  get specials(): number {
    return this.special;
  }

  get empty(): boolean {
    return this.queue.length === 0;
  }

  get first(): Expected | undefined {
    return this.queue[0];
  }

  /** hot */
  addReply(): void {
    const last = this.queue.length - 1;
    const number = this.queue[last];
    if (typeof number === 'number') this.queue[last] = number + 1;
    else this.queue.push(1);
  }

  add(expected: Exclude<Expected, number>): void {
    this.queue.push(expected);
    this.special++;
  }

  /** hot: a reply of the server has come; answers what it was. */
  take(): Expected | undefined {
    const first = this.queue[0];
    if (typeof first === 'number' && first > 1) this.queue[0] = first - 1;
    else this.shift();
    return first;
  }

  /** The words that are due now, before any further reply of the server. */
  takeWords(): Buffer | null {
    const first = this.queue[0];
    if (typeof first !== 'object' || first.kind !== 'words') return null;
    this.shift();
    return first.words;
  }

  private shift(): void {
    if (typeof this.queue.shift() === 'object') this.special--;
  }
}
