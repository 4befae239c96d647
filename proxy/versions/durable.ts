/** Files that are either as they were or as they were meant to be, whatever moment the power fails at. */
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Writes beside `path`, forces it to disk, and puts it in place in one step (rename(2)). Rejects with what the file system says. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.new`;
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** A name is on disk only when its folder is. */
export async function syncFolder(directory: string): Promise<void> {
  let folder: FileHandle | null = null;
  try {
    folder = await open(directory, 'r');
    await folder.sync();
  } catch (error) {
    // Some file systems know no fsync of a folder; theirs is the promise that is missing.
    if (!isCode(error, 'EINVAL') && !isCode(error, 'ENOTSUP')) throw error;
  } finally {
    await folder?.close();
  }
}

export async function makeFolder(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** More than what a full disk still has in blocks that are begun, and no load for one that is not. */
const TRIED_BYTES = 64 * 1024;

/** Writes a file into a folder, made when needed, and takes it away again. Rejects with what the file system says. */
export async function tryFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  const path = join(folder, `probe.${process.pid}`);
  try {
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile(Buffer.alloc(TRIED_BYTES));
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}

/** Why a disk does not take what is to be kept. */
export interface DiskTrouble {
  /** `ENOSPC`, `EACCES`, …; `unknown` where the error has no code. */
  readonly code: string;
  /** In words, with what to do. */
  readonly why: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: make room',
  EDQUOT: 'the quota of this user is used up: make room, or raise it',
  EACCES: 'this user may not write there: chown or chmod it',
  EPERM: 'this user may not write there: chown or chmod it',
  EROFS: 'the file system is mounted read-only: mount it for writing',
  ENOENT: 'a part of its path is missing: make it',
  ENOTDIR: 'a part of its path is no folder: move that away',
  EEXIST: 'a part of its path is no folder: move that away',
  EIO: 'the disk fails: look at the log of the kernel',
  EMFILE: 'too many files are open: raise ulimit -n',
};

/** `ENOSPC: the disk is full: make room`. */
export function whyNotKept(error: unknown): { readonly code: string; readonly why: string } {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const remedy = REMEDIES[code] ?? (error instanceof Error ? error.message : String(error));
  return { code, why: `${code}: ${remedy}` };
}
