/**
 * Listening sockets that this node did not bind itself: a service manager's, or those of the process that it follows. The main thread keeps them,
 * never accepts from them, and gives them to workers at a desk; the other way round it collects the sockets of the workers for a process that
 * follows this one. As long as somebody has a socket open, no connection that waits in its queue is lost.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { SocketHandle } from '../wire/native.ts';
import { listenForPassages, type Passage, type PassageListener } from '../wire/passage.ts';
import type { Desk, Inheritance } from './plan.ts';

/** A worker that has not brought its sockets by then is carried on without. */
const LEND_MS_MAX = 2_000;

/** A listening socket on its way to another process. */
export interface Lent {
  readonly vip: string;
  readonly isShared: boolean;
  readonly socket: SocketHandle;
}

interface Held {
  readonly vip: string;
  /** Every worker may have it, and it stays here. What is not shared is given to one worker, once. */
  readonly isShared: boolean;
  readonly socket: SocketHandle;
  /** Whose turn it is among the sockets of the VIP: worker `turn` modulo their number gets it. */
  readonly turn: number;
}

interface Collection {
  missing: number;
  readonly lent: Lent[];
  readonly done: () => void;
}

export class Sockets {
  readonly #workers: number;
  #held: Held[] = [];
  #desk: { readonly place: Desk; readonly listener: PassageListener } | null = null;
  #collection: Collection | null = null;

  constructor(workers: number) {
    this.#workers = workers;
  }

  /** The socket is this table's from here on. */
  add(lent: Lent): void {
    this.#held.push({ ...lent, turn: this.#held.filter(({ vip }) => vip === lent.vip).length });
  }

  /** VIPs for which there is a socket, so that binding them alone would fail. */
  get vips(): ReadonlySet<string> {
    return new Set(this.#held.map(({ vip }) => vip));
  }

  /** What workers can fetch; null where there is nothing. Throws where the desk cannot be opened. */
  inheritance(): Inheritance | null {
    if (this.#held.length === 0) return null;
    const vips = new Map(this.#held.map(({ vip, isShared }) => [vip, { text: vip, isShared }]));
    return { desk: this.#openDesk(), vips: [...vips.values()] };
  }

  /** Closes what no worker has fetched: it belongs to VIPs that are no more. Answers their names. */
  settle(): string[] {
    const left = this.#held.filter(({ isShared }) => !isShared);
    this.#held = this.#held.filter(({ isShared }) => isShared);
    for (const { socket } of left) socket.close();
    return [...new Set(left.map(({ vip }) => vip))];
  }

  /**
   * The sockets of all workers and those kept here, for another process. What is not shared is a descriptor of the caller's, who closes it.
   * `ask` has the workers bring theirs to the desk, and answers how many will.
   */
  async collect(ask: (desk: Desk) => number): Promise<Lent[]> {
    const desk = this.#openDesk();
    const lent: Lent[] = [];
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LEND_MS_MAX);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#collection = { missing: ask(desk), lent, done };
      if (this.#collection.missing === 0) done();
    });
    this.#collection = null;
    return [...this.#held.filter(({ isShared }) => isShared), ...lent];
  }

  /** Gives up everything. */
  close(): void {
    this.#desk?.listener.close();
    this.#desk = null;
    for (const { socket } of this.#held.splice(0)) socket.close();
  }

  #openDesk(): Desk {
    if (this.#desk !== null) return this.#desk.place;
    const place = { path: `\0bulkhead-${process.pid}-${randomBytes(8).toString('hex')}`, token: randomBytes(16).toString('hex') };
    const listener = listenForPassages(place.path, (passage) => void this.#serve(passage, place.token));
    if (typeof listener === 'number') throw new Error(`the desk where workers fetch their sockets cannot be opened (errno ${-listener})`);
    this.#desk = { place, listener };
    return place;
  }

  async #serve(passage: Passage, token: string): Promise<void> {
    for (let parcel = await passage.next(); parcel !== null; parcel = await passage.next()) {
      const { message } = parcel;
      parcel.socket?.close();
      if (!sameToken(message.token, token)) break;
      if (message.type === 'fetch') await this.#give(passage, String(message.vip), Number(message.worker));
      else if (message.type === 'lend') {
        await this.#receive(passage, Number(message.count));
        break;
      } else break;
    }
    passage.close();
  }

  /** A worker gets every shared socket of its VIP, and its part of the others, which the main thread then lets go of. */
  async #give(passage: Passage, vip: string, worker: number): Promise<void> {
    const given = this.#held.filter((held) => held.vip === vip && (held.isShared || held.turn % this.#workers === worker));
    for (const held of given) await passage.send({ type: 'socket' }, held.socket);
    await passage.send({ type: 'end' });
    const gone = new Set(given.filter(({ isShared }) => !isShared));
    this.#held = this.#held.filter((held) => !gone.has(held));
    for (const { socket } of gone) socket.close();
  }

  async #receive(passage: Passage, count: number): Promise<void> {
    const collection = this.#collection;
    for (let i = 0; i < count; i++) {
      const parcel = await passage.next();
      if (parcel === null || parcel.socket === null) break;
      // Too late: the others have left already.
      if (collection === null || collection !== this.#collection) parcel.socket.close();
      else collection.lent.push({ vip: String(parcel.message.vip), isShared: false, socket: parcel.socket });
    }
    if (collection !== null && --collection.missing === 0) collection.done();
  }
}

function sameToken(given: unknown, token: string): boolean {
  const bytes = Buffer.from(String(given));
  const own = Buffer.from(token);
  return bytes.length === own.length && timingSafeEqual(bytes, own);
}
