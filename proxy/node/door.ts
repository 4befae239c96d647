/**
 * The door of a state folder: a unix socket in it at which the process that owns the folder listens. Whoever finds it answered knows that the folder
 * is taken, and may ask to follow: the owner then passes its listening sockets on, stops writing, and leaves once its follower is ready.
 */
import { renameSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { UNIX_PATH_BYTES_MAX } from '../../config/limits.ts';
import { makeFolder } from '../versions/durable.ts';
import { removeSocket } from '../wire/listen.ts';
import { listenForPassages, openPassage, type Passage, type PassageListener } from '../wire/passage.ts';

const NAME = 'process.sock';
/** An owner that does not say who it is by then is hung, and an owner all the same. */
const WHO_MS_MAX = 2_000;

export type DoorPlace = { readonly ok: true; readonly path: string } | { readonly ok: false; readonly message: string };

/** Where the door of a folder is, with room for the name beside it under which it is made. */
export function doorOf(state: string): DoorPlace {
  const path = join(resolve(state), NAME);
  if (Buffer.byteLength(nameBeside(path)) <= UNIX_PATH_BYTES_MAX) return { ok: true, path };
  const message = `the path of the state folder is too long for a unix socket in it (${path}): a second process cannot tell that it is in use, nor take over; use a shorter process.state`;
  return { ok: false, message };
}

/** Who owns the folder: null where nobody listens, 0 where somebody does that does not say. */
export async function ownerOf(path: string): Promise<number | null> {
  const passage = await openPassage(path);
  if (passage === null) return null;
  const timer = setTimeout(() => passage.close(), WHO_MS_MAX);
  await passage.send({ type: 'who' });
  const parcel = await passage.next();
  clearTimeout(timer);
  passage.close();
  return typeof parcel?.message.pid === 'number' ? parcel.message.pid : 0;
}

export interface Door {
  /** Stops listening. `leave`: a follower has put its own door in this one's place. */
  close(leave: boolean): void;
}

/**
 * Opens the door, in the place of whatever is left of an earlier one. Only the user of this process may come by it (mode 0600). Rejects with what
 * the file system says.
 */
export async function openDoor(path: string, arrived: (passage: Passage) => void): Promise<Door> {
  await makeFolder(dirname(path));
  const beside = nameBeside(path);
  removeSocket(beside);
  const listener = listenPrivately(beside, arrived);
  if (typeof listener === 'number') throw new Error(`${path} cannot be bound (${getSystemErrorName(listener)})`);
  try {
    // Takes the place in one step: whoever comes meets the process before, or this one.
    renameSync(beside, path);
  } catch (error) {
    listener.close();
    throw error;
  }
  return {
    close(leave) {
      listener.close();
      if (!leave) removeSocket(path);
    },
  };
}

function nameBeside(path: string): string {
  return `${path}.${process.pid}`;
}

/** The socket file is made within the call; under this umask there is no moment in which others could connect. */
function listenPrivately(path: string, arrived: (passage: Passage) => void): PassageListener | number {
  const before = isMainThread ? process.umask(0o177) : null;
  try {
    return listenForPassages(path, arrived);
  } finally {
    if (before !== null) process.umask(before);
  }
}
