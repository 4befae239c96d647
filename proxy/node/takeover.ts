/** The coming side of a takeover: what a new process asks at the door of the one that it follows. */
import type { LentAddress } from '../admin/listen.ts';
import type { SocketHandle } from '../wire/native.ts';
import { openPassage, type Parcel, type Passage } from '../wire/passage.ts';
import type { Lent } from './sockets.ts';

/** An order under way there is finished first, and a swap may take 30 s. */
const SOCKETS_MS_MAX = 40_000;
/** The order under way and the last entries of the audit. */
const RELEASE_MS_MAX = 10_000;

export class TakeoverError extends Error {
  readonly code = 'cannot-take-over';
}

export interface Predecessor {
  readonly pid: number;
  /** Its listening sockets; whoever takes them closes them. */
  readonly sockets: readonly Lent[];
  /** Where its admin endpoint listens, which it goes on doing until it is relieved; null where it has none, or does not say. */
  readonly admin: LentAddress | null;
  /** Tells it that this process carries traffic. Answers whether it has let go of its state folder, and drains. */
  relieve(): Promise<boolean>;
  /** It has ended. */
  readonly gone: Promise<void>;
  /** This process does not start after all: the other goes on as before. */
  giveUp(): void;
}

/** Asks the process at a door for its sockets; null where there is none. Rejects with a TakeoverError where it does not give them. */
export async function follow(door: string, releaseMs = RELEASE_MS_MAX): Promise<Predecessor | null> {
  const passage = await openPassage(door);
  if (passage === null) return null;
  const sockets: Lent[] = [];
  try {
    await passage.send({ type: 'take-over', pid: process.pid });
    const { message } = await receive(passage, sockets);
    const admin = typeof message.admin === 'string' ? { text: message.admin, socket: takeAdmin(sockets) } : null;
    return predecessorAt(passage, { pid: Number(message.pid), sockets, admin }, releaseMs);
  } catch (error) {
    for (const { socket } of sockets) socket.close();
    passage.close();
    throw error;
  }
}

/** Under which name the socket of the admin endpoint goes; no VIP can have it. */
export const ADMIN_NAME = 'admin';

function takeAdmin(sockets: Lent[]): SocketHandle | null {
  const at = sockets.findIndex(({ vip }) => vip === ADMIN_NAME);
  return at < 0 ? null : sockets.splice(at, 1)[0]!.socket;
}

async function receive(passage: Passage, sockets: Lent[]): Promise<Parcel> {
  for (;;) {
    const parcel = await within(passage, SOCKETS_MS_MAX);
    if (parcel === null)
      throw new TakeoverError('the running process has not passed its sockets on; it goes on as before (its log says why)');
    const { type, message, vip, isShared, count } = parcel.message;
    if (type === 'socket' && parcel.socket !== null) sockets.push({ vip: String(vip), isShared: isShared === true, socket: parcel.socket });
    else if (type === 'socket')
      throw new TakeoverError(`the socket of ${String(vip)} did not arrive: raise the limit of open files (ulimit -n) and start again`);
    else if (type === 'refused') throw new TakeoverError(String(message));
    else if (type === 'all' && count === sockets.length) return parcel;
    else
      throw new TakeoverError(
        'the running process speaks another language: it may be of another version; stop it and start without --takeover',
      );
  }
}

function predecessorAt(passage: Passage, given: Pick<Predecessor, 'pid' | 'sockets' | 'admin'>, releaseMs: number): Predecessor {
  const gone = Promise.withResolvers<void>();
  return {
    ...given,
    gone: gone.promise,
    async relieve() {
      await passage.send({ type: 'ready' });
      const isReleased = (await within(passage, releaseMs))?.message.type === 'released';
      passage.unref();
      void ended(passage).then(() => {
        passage.close();
        gone.resolve();
      });
      return isReleased;
    },
    giveUp() {
      given.admin?.socket?.close();
      passage.close();
    },
  };
}

/** Where it lets go of its folder late it says so late, and drains still. */
async function ended(passage: Passage): Promise<void> {
  for (let parcel = await passage.next(); parcel !== null; parcel = await passage.next()) parcel.socket?.close();
}

async function within(passage: Passage, milliseconds: number): Promise<Parcel | null> {
  const timer = Promise.withResolvers<null>();
  const running = setTimeout(() => timer.resolve(null), milliseconds);
  const parcel = await Promise.race([passage.next(), timer.promise]);
  clearTimeout(running);
  return parcel;
}
