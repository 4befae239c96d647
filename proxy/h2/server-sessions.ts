/**
 * Sessions with servers that speak HTTP/2, of one worker: a request gets a stream of one that is there, or has one dialled. As many
 * as ask while a session is dialled wait for that one, until the server has said how many streams it takes.
 */
import type { DialResult } from '../observe/view.ts';
import { hitNodeLimit } from '../shared/node-limits.ts';
import { type Dial, dial, type Target } from '../wire/dial.ts';
import type { Wire, WireOwner } from '../wire/wire.ts';
import type { Context } from '../worker/context.ts';
import { SESSIONS_PER_SERVER_MAX, STREAMS_TO_SERVER_MAX } from './allowance.ts';
import { ServerSession } from './server-session.ts';

type Done = (wire: Wire | null, result: DialResult) => void;

interface Waiter {
  readonly owner: WireOwner;
  readonly done: Done;
  /** It has given up, and is answered no more. */
  gone: boolean;
}

/** What is dialled, with what is said to the server first, and how long a session without streams is kept. */
export interface SessionTarget {
  readonly target: Target;
  /** A PROXY header: the session then speaks for one client, and is shared with no other. */
  readonly first: Buffer | null;
  readonly idleMs: number;
}

/** A session on its way: dialled, or connected and waiting for the server's settings. */
interface Coming {
  readonly waiters: Waiter[];
  /** Gives it up. */
  cancel(): void;
}

/** The sessions with one server, and those that are on their way. */
class ServerPlace {
  readonly target: Target;
  readonly sessions: ServerSession[] = [];
  private readonly context: Context;
  private readonly forget: (place: ServerPlace) => void;
  private readonly coming: Coming[] = [];

  constructor(context: Context, target: Target, forget: (place: ServerPlace) => void) {
    this.context = context;
    this.target = target;
    this.forget = forget;
  }

  /** Answers the waiter later, never from within. */
  reach(wanted: SessionTarget, waiter: Waiter): void {
    const isFull = this.sessions.length + this.coming.length >= SESSIONS_PER_SERVER_MAX;
    const open =
      this.sessions.find((session) => session.isFresh) ?? (isFull ? this.sessions.find((session) => session.hasRoom) : undefined);
    if (open !== undefined) {
      queueMicrotask(() => this.give(open, wanted, waiter));
      return;
    }
    const under = this.coming.find((entry) => entry.waiters.length < STREAMS_TO_SERVER_MAX);
    if (under !== undefined) {
      under.waiters.push(waiter);
      return;
    }
    if (isFull) {
      hitNodeLimit('h2-servers');
      queueMicrotask(() => {
        if (!waiter.gone) waiter.done(null, 'exhausted');
      });
      return;
    }
    const entry: Coming = { waiters: [waiter], cancel: () => undefined };
    this.coming.push(entry);
    entry.cancel = openSession(this.context, wanted, (session, result) => this.opened(entry, wanted, session, result), this.over).cancel;
  }

  /** The waiter is told nothing any more; a session that nobody waits for is given up. */
  giveUp(waiter: Waiter): void {
    waiter.gone = true;
    const entry = this.coming.find(({ waiters }) => waiters.includes(waiter));
    if (entry === undefined || entry.waiters.some((other) => !other.gone)) return;
    entry.cancel();
    this.coming.splice(this.coming.indexOf(entry), 1);
    this.leaveIfEmpty();
  }

  private opened(entry: Coming, wanted: SessionTarget, session: ServerSession | null, result: DialResult): void {
    this.coming.splice(this.coming.indexOf(entry), 1);
    if (session !== null) this.sessions.push(session);
    for (const waiter of entry.waiters) {
      if (session !== null) this.give(session, wanted, waiter);
      else if (!waiter.gone) waiter.done(null, result);
    }
    this.leaveIfEmpty();
  }

  private readonly over = (session: ServerSession) => {
    const at = this.sessions.indexOf(session);
    if (at >= 0) this.sessions.splice(at, 1);
    this.leaveIfEmpty();
  };

  /** A stream of a session that had room a moment ago. */
  private give(session: ServerSession, wanted: SessionTarget, waiter: Waiter): void {
    if (waiter.gone) return;
    if (session.hasRoom) waiter.done(session.newWire(waiter.owner), 'connected');
    else this.reach(wanted, waiter);
  }

  private leaveIfEmpty(): void {
    if (this.sessions.length + this.coming.length === 0) this.forget(this);
  }
}

let places: ServerPlace[] = [];

/** As `dial`: `done` is called later, exactly once unless cancelled. The wire carries one request after the other. */
export function dialHttp2(context: Context, wanted: SessionTarget, owner: WireOwner, done: Done): Dial {
  const { target, first } = wanted;
  if (first !== null) return dialAlone(context, wanted, owner, done);
  let place = places.find((one) => isSame(one.target, target));
  if (place === undefined) {
    place = new ServerPlace(context, target, (gone) => {
      places = places.filter((one) => one !== gone);
    });
    places.push(place);
  }
  const found = place;
  const waiter: Waiter = { owner, done, gone: false };
  found.reach(wanted, waiter);
  return { cancel: () => found.giveUp(waiter) };
}

function dialAlone(context: Context, wanted: SessionTarget, owner: WireOwner, done: Done): Dial {
  const opened = (session: ServerSession | null, result: DialResult) => done(session === null ? null : session.newWire(owner), result);
  return openSession(context, wanted, opened, () => undefined);
}

/** Dials, and waits for the server's settings. `opened` is called once, unless it is given up before; `over` once for a session that was opened. */
function openSession(
  context: Context,
  { target, first, idleMs }: SessionTarget,
  opened: (session: ServerSession | null, result: DialResult) => void,
  over: (session: ServerSession) => void,
): Dial {
  let wanted = true;
  let session: ServerSession | null = null;
  let ready = false;
  const connected: Done = (wire, result) => {
    if (wire === null) {
      if (wanted) opened(null, result);
      return;
    }
    session = new ServerSession(context, wire, target.tls !== undefined, idleMs, {
      sessionReady: (one) => {
        if (!wanted) return;
        ready = true;
        opened(one, 'connected');
      },
      sessionOver: (one) => {
        if (ready) over(one);
        // It ended before it began: whatever the server speaks, it is not HTTP/2.
        else if (wanted) opened(null, 'error');
        wanted = false;
      },
    });
  };
  const dialling = dial(target, NOBODY, connected, first);
  return {
    cancel() {
      wanted = false;
      if (session === null) dialling.cancel();
      else session.giveUp();
    },
  };
}

/** A swap brings new objects for the same server; with other certificates it is another one. */
function isSame(a: Target, b: Target): boolean {
  return a.kind === b.kind && a.host === b.host && a.port === b.port && a.tls?.id === b.tls?.id;
}

/** Of a wire whose session is about to begin. */
const NOBODY: WireOwner = {
  wireData() {},
  wireEnd() {},
  wireError() {},
  wireDrained() {},
};
