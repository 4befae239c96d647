/**
 * The end of a denied connection, when it is more than a reset: last words, after which the client gets a moment to read them, or a tarpit.
 * Its flow is accounted for already, and holds no place under the caps; so these are bounded by themselves.
 */
import { hitNodeLimit } from '../shared/node-limits.ts';
import { OnWheel } from '../wire/wheel.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import type { Context } from '../worker/context.ts';
import { asksForEncryption } from './denial.ts';

/** Long enough for the words to arrive and be read. Closing at once, with bytes of the client unread, would take them back. */
export const FAREWELL_MS = 2_000;
/** What a client may still send meanwhile. */
const UNREAD_BYTES_MAX = 64 * 1024;
/** Longer than a scanner waits, shorter than what a mistaken client's owner would put up with. */
export const TARPIT_MS = 30_000;
/** A worker: each costs a socket and its kernel memory. Beyond, a denied client is reset. */
export const FAREWELLS_MAX = 1_024;
export const TARPITS_MAX = 1_024;
/** A client of Postgres asks for one encryption after the other: there are two. */
const ENCRYPTION_REFUSALS_MAX = 2;

let farewells = 0;
let tarpits = 0;

/** Says the words and closes. False where too many are at it, which is counted: then the wire is still its owner's. */
export function bidFarewell(context: Context, wire: Wire, words: Buffer, protocols: number, first: Buffer | null): boolean {
  if (farewells >= FAREWELLS_MAX) {
    hitNodeLimit('farewells');
    return false;
  }
  farewells++;
  new Farewell(context, wire, FAREWELL_MS, () => farewells--).say(words, protocols, first);
  return true;
}

/** Holds the connection and says nothing. False where too many are held, which is counted: then the wire is still its owner's. */
export function holdInTarpit(context: Context, wire: Wire, application: number): boolean {
  if (tarpits >= TARPITS_MAX) {
    if (application >= 0) context.policy.ledger.limit(application, 'tarpits');
    return false;
  }
  tarpits++;
  // Unread, so that what it sends fills its own buffers and costs nothing here.
  wire.pause();
  new Farewell(context, wire, TARPIT_MS, () => tarpits--);
  return true;
}

class Farewell extends OnWheel implements WireOwner {
  private readonly context: Context;
  private readonly wire: Wire;
  private readonly left: () => void;
  private words: Buffer | null = null;
  private protocols = 0;
  private refusals = 0;
  private unread = 0;
  private over = false;

  constructor(context: Context, wire: Wire, milliseconds: number, left: () => void) {
    super();
    this.context = context;
    this.wire = wire;
    this.left = left;
    wire.owner = this;
    context.wheel.arm(this, context.clock.coarse + milliseconds);
  }

  /** `first` is what the client has said so far. */
  say(words: Buffer, protocols: number, first: Buffer | null): void {
    this.words = words;
    this.protocols = protocols;
    this.answer(first ?? Buffer.alloc(0), first?.length ?? 0);
    this.wire.resume();
  }

  private answer(bytes: Buffer, length: number): void {
    const { words, wire } = this;
    if (words === null) return;
    if (this.refusals < ENCRYPTION_REFUSALS_MAX && asksForEncryption(this.protocols, bytes, length)) {
      this.refusals++;
      wire.writeBytes(Buffer.from('N'));
      return;
    }
    this.words = null;
    wire.writeBytes(words);
    wire.end();
  }

  wireData(_wire: Wire, bytes: Buffer, length: number): void {
    this.unread += length;
    if (this.unread <= UNREAD_BYTES_MAX) {
      this.answer(bytes, length);
      return;
    }
    hitNodeLimit('farewell-bytes');
    this.finish(true);
  }

  wireEnd(): void {
    if (this.wire.pending === 0) this.finish(false);
  }

  wireError(): void {
    this.finish(true);
  }

  wireDrained(): void {
    if (this.wire.ended) this.finish(false);
  }

  expired(): void {
    this.finish(true);
  }

  private finish(reset: boolean): void {
    if (this.over) return;
    this.over = true;
    this.context.wheel.disarm(this);
    if (reset) this.wire.reset();
    else this.wire.close();
    this.left();
  }
}
