/** Files that are either as they were or as they were meant to be, whatever moment the power fails at. */
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

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
