/**
 * Keys for session tickets (RFC 5077, RFC 8446 §4.6.1). Each period has a key of its own, made from a chain that only goes forward: every thread
 * steps it by itself and comes to the same keys, and who reads the memory of one learns nothing of the periods that are over.
 */
import { createHmac, randomBytes, randomFillSync } from 'node:crypto';

/** The state of a chain, as it is handed to a worker. */
export interface TicketChain {
  readonly rotateMs: number;
  /** The period that `link` belongs to: so many times `rotateMs` since 1970. */
  readonly period: number;
  readonly link: Uint8Array;
  /** Ticket keys of the period before; null for none. */
  readonly before: Uint8Array | null;
}

interface Keys {
  /** 16 bytes that tell one key from another, in the ticket in the clear. */
  readonly name: Buffer;
  readonly aes: Buffer;
  readonly hmac: Buffer;
}

const NAME_BYTES = 16;
const AES_BYTES = 16;
const VECTOR_BYTES = 16;
const VECTORS = 64;

/** A chain that begins now. */
export function beginChain(rotateMs: number, nowMs: number): TicketChain {
  return { rotateMs, period: Math.floor(nowMs / rotateMs), link: randomBytes(32), before: null };
}

/** The chain as of now. A clock that was set back changes nothing. */
export function advance(chain: TicketChain, nowMs: number): TicketChain {
  const period = Math.floor(nowMs / chain.rotateMs);
  if (period <= chain.period) return chain;
  let { link } = chain;
  let before = chain.before;
  for (let at = chain.period; at < period; at++) {
    before = material(link);
    link = createHmac('sha256', link).update('next').digest();
  }
  return { rotateMs: chain.rotateMs, period, link, before };
}

/** The keys of a chain in use: what OpenSSL asks for with each ticket. */
export class TicketKeys {
  private readonly now: () => number;
  private chain: TicketChain;
  private current: Keys;
  private before: Keys | null;
  /** Random bytes are cheaper by the page than by the piece. */
  private readonly vectors = Buffer.alloc(VECTORS * VECTOR_BYTES);
  private vectorsAt = VECTORS * VECTOR_BYTES;
  private readonly vector = Buffer.alloc(VECTOR_BYTES);
  /** What is answered for a new ticket, good until the next: OpenSSL has copied it by then. */
  private encrypting: readonly unknown[];
  /** Who is resumed is given a new ticket; off, only where the key of the old one is on its way out. */
  renews = false;

  /** `now` in milliseconds since 1970. */
  constructor(chain: TicketChain, now: () => number) {
    this.now = now;
    this.chain = advance(chain, now());
    this.current = keysOf(material(this.chain.link));
    this.before = this.chain.before === null ? null : keysOf(this.chain.before);
    this.encrypting = this.encryptingWith(this.current);
  }

  private encryptingWith({ hmac, aes, name }: Keys): readonly unknown[] {
    return [1, hmac, aes, name, this.vector];
  }

  /** As OpenSSL wants it: what to do (0: this ticket opens nothing; 1; 2: and give a new one), then the keys. */
  answer(name: Uint8Array, encrypts: boolean): readonly unknown[] {
    this.step();
    const { current, before } = this;
    if (encrypts) {
      this.fill();
      return this.encrypting;
    }
    if (current.name.equals(name)) return [this.renews ? 2 : 1, current.hmac, current.aes];
    if (before?.name.equals(name)) return [2, before.hmac, before.aes];
    return [0, current.hmac, current.aes];
  }

  /** Random bytes that were not used before. */
  private fill(): void {
    if (this.vectorsAt === this.vectors.length) {
      randomFillSync(this.vectors);
      this.vectorsAt = 0;
    }
    const start = this.vectorsAt;
    this.vectorsAt += VECTOR_BYTES;
    this.vectors.copy(this.vector, 0, start, this.vectorsAt);
  }

  private step(): void {
    const next = advance(this.chain, this.now());
    if (next === this.chain) return;
    this.chain = next;
    this.current = keysOf(material(next.link));
    this.before = next.before === null ? null : keysOf(next.before);
    this.encrypting = this.encryptingWith(this.current);
  }
}

function material(link: Uint8Array): Buffer {
  return createHmac('sha512', link).update('ticket').digest();
}

function keysOf(bytes: Uint8Array): Keys {
  const all = Buffer.from(bytes);
  return {
    name: all.subarray(0, NAME_BYTES),
    aes: all.subarray(NAME_BYTES, NAME_BYTES + AES_BYTES),
    hmac: all.subarray(NAME_BYTES + AES_BYTES),
  };
}
