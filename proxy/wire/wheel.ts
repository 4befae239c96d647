/**
 * All deadlines of a thread on one wheel, instead of a timer a socket. Moving a deadline later, which is what traffic does
 * all the time, is one store: the wheel finds out when it comes round. Time is passed in; the wheel reads no clock.
 */

export interface Timed {
  /** In the milliseconds of whoever turns the wheel. Infinity: never. Moving it later needs no call; earlier needs `arm`. */
  deadline: number;
  /** Where it stands on the wheel; the wheel's own. */
  wheelSlot: number;
  wheelNext: Timed | null;
  wheelPrevious: Timed | null;
  expired(now: number): void;
}

/** Something that is not on the wheel yet. */
export abstract class OnWheel implements Timed {
  deadline = Number.POSITIVE_INFINITY;
  wheelSlot = -1;
  wheelNext: Timed | null = null;
  wheelPrevious: Timed | null = null;

  abstract expired(now: number): void;
}

/** How late a deadline may be noticed. */
export const TICK_MS = 50;
const SLOTS = 1024;

export class Wheel {
  private readonly heads: (Timed | null)[] = new Array<Timed | null>(SLOTS).fill(null);
  private tick: number;

  constructor(now: number) {
    this.tick = Math.floor(now / TICK_MS);
  }

  /** hot: sets a deadline, earlier or later than before. */
  arm(entry: Timed, deadline: number): void {
    const later = entry.wheelSlot >= 0 && deadline >= entry.deadline;
    entry.deadline = deadline;
    if (later) return;
    this.unlink(entry);
    if (deadline !== Number.POSITIVE_INFINITY) this.place(entry);
  }

  /** Takes an entry off the wheel; it does not expire any more. */
  disarm(entry: Timed): void {
    entry.deadline = Number.POSITIVE_INFINITY;
    this.unlink(entry);
  }

  private unlink(entry: Timed): void {
    const slot = entry.wheelSlot;
    if (slot < 0) return;
    if (entry.wheelPrevious === null) this.heads[slot] = entry.wheelNext;
    else entry.wheelPrevious.wheelNext = entry.wheelNext;
    if (entry.wheelNext !== null) entry.wheelNext.wheelPrevious = entry.wheelPrevious;
    entry.wheelNext = entry.wheelPrevious = null;
    entry.wheelSlot = -1;
  }

  /** Expires everything whose deadline has passed. */
  turn(now: number): void {
    const until = Math.floor(now / TICK_MS);
    // After a long stall one round sees every slot; more rounds would see them again.
    if (until - this.tick > SLOTS) this.tick = until - SLOTS;
    while (this.tick < until) {
      this.tick++;
      this.visit(this.tick % SLOTS, now);
    }
  }

  private visit(slot: number, now: number): void {
    let entry = this.heads[slot] ?? null;
    this.heads[slot] = null;
    // Taken off first, so that an entry that arms itself again, or disarms another, meets a wheel in order.
    const due: Timed[] = [];
    while (entry !== null) {
      const next: Timed | null = entry.wheelNext;
      entry.wheelNext = entry.wheelPrevious = null;
      entry.wheelSlot = -1;
      if (entry.deadline <= now) due.push(entry);
      else if (entry.deadline !== Number.POSITIVE_INFINITY) this.place(entry);
      entry = next;
    }
    for (const one of due) if (one.wheelSlot < 0 && one.deadline <= now) one.expired(now);
  }

  private place(entry: Timed): void {
    const slotTick = Math.min(Math.max(Math.ceil(entry.deadline / TICK_MS), this.tick + 1), this.tick + SLOTS - 1);
    const slot = slotTick % SLOTS;
    const head = this.heads[slot] ?? null;
    entry.wheelSlot = slot;
    entry.wheelPrevious = null;
    entry.wheelNext = head;
    if (head !== null) head.wheelPrevious = entry;
    this.heads[slot] = entry;
  }
}
