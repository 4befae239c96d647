/** The live sessions of a worker: a list that adds and removes in constant time, and lets a walk go on while sessions come and go. */
import type { Session } from './session.ts';

export class SessionList {
  private head: Session | null = null;
  size = 0;
  private walkers: Walk[] = [];

  add(session: Session): void {
    session.previousSession = null;
    session.nextSession = this.head;
    if (this.head !== null) this.head.previousSession = session;
    this.head = session;
    this.size++;
  }

  remove(session: Session): void {
    for (const walk of this.walkers) if (walk.next === session) walk.next = session.nextSession;
    if (session.previousSession === null) this.head = session.nextSession;
    else session.previousSession.nextSession = session.nextSession;
    if (session.nextSession !== null) session.nextSession.previousSession = session.previousSession;
    session.nextSession = session.previousSession = null;
    this.size--;
  }

  /** Newest first. Sessions that are added meanwhile are not seen. */
  walk(): Walk {
    const walk = new Walk(this.head, () => {
      this.walkers = this.walkers.filter((other) => other !== walk);
    });
    this.walkers.push(walk);
    return walk;
  }
}

export class Walk {
  next: Session | null;
  private readonly done: () => void;

  constructor(first: Session | null, done: () => void) {
    this.next = first;
    this.done = done;
  }

  /** The next session; null at the end, after which the walk is over. */
  step(): Session | null {
    const session = this.next;
    if (session === null) this.done();
    else this.next = session.nextSession;
    return session;
  }

  /** Ends the walk before its end. */
  stop(): void {
    this.next = null;
    this.done();
  }
}
