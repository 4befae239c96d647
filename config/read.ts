/** Reads a file, or the `*.yaml` files of a folder, with every failure in words. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from './document.ts';
import { SOURCE_BYTES_MAX, SOURCE_FILES_MAX } from './limits.ts';
import { shown } from './problem.ts';
import { decode } from './text.ts';

/** Large enough for the usual file in one read. */
const READ_BYTES = 256 * 1024;

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder. Check the spelling, and the folder from which the command is run.',
  EACCES: 'permission is denied. Let the user that runs Bulkhead read it.',
  EPERM: 'the operation is not permitted. Let the user that runs Bulkhead read it.',
  ENOTDIR: 'a part of the path is a file, not a folder. Check the path.',
  EISDIR: 'it is a folder. Name a file in it, or a folder that holds *.yaml files.',
  ELOOP: 'its symbolic links lead in a circle. Correct the links.',
  EMFILE: 'too many files are open. Raise the limit of open files (ulimit -n).',
  ENFILE: 'the machine has too many open files. Raise fs.file-max.',
  EIO: 'the disk reported an error. Check it.',
  ENAMETOOLONG: 'the path is too long for the file system. Use a shorter one.',
  ERR_INVALID_ARG_VALUE: 'the path holds a NUL byte. Remove it.',
};

export interface Reading {
  readonly sources: readonly { readonly file: string; readonly text: string }[];
  readonly problems: readonly Problem[];
}

/** `path` is taken as it is; files of a folder are named `path/name` and come in the order of their names. */
export function readSources(path: string): Reading {
  const problems: Problem[] = [];
  const files = filesAt(path, problems);
  const sources: { file: string; text: string }[] = [];
  let bytesLeft = SOURCE_BYTES_MAX;
  for (const file of files) {
    const bytes = readBytes(file, bytesLeft, problems);
    if (bytes === null) continue;
    bytesLeft -= bytes.length;
    const text = decode(file, bytes);
    if (typeof text === 'string') sources.push({ file, text });
    else problems.push(text);
  }
  return { sources, problems };
}

function filesAt(path: string, problems: Problem[]): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => !name.startsWith('.'));
    for (const name of names.filter((each) => /\.ya?ml$/i.test(each) && !each.endsWith('.yaml'))) {
      problems.push(
        problem(
          'warning',
          'ignored-file',
          join(path, name),
          'This file is not read: of a folder, only files named *.yaml are. Rename it, or move it away.',
        ),
      );
    }
    const files = names.filter((name) => name.endsWith('.yaml')).sort();
    if (files.length === 0)
      problems.push(
        problem('error', 'unreadable-file', path, `The folder ${shown(path)} holds no file named *.yaml. Put one there, or name a file.`),
      );
    if (files.length > SOURCE_FILES_MAX) {
      problems.push(
        problem(
          'error',
          'too-large',
          path,
          `The folder ${shown(path)} holds more than ${SOURCE_FILES_MAX} files named *.yaml. Join some of them.`,
        ),
      );
      return [];
    }
    return files.map((name) => join(path, name));
  } catch (error) {
    problems.push(unreadable(path, error));
    return [];
  }
}

/** Not by `readFile`: a device or pipe has no size that could be checked before. */
function readBytes(file: string, bytesMax: number, problems: Problem[]): Uint8Array | null {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(file, 'r');
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const chunk = Buffer.allocUnsafe(READ_BYTES);
      const read = readSync(descriptor, chunk, 0, READ_BYTES, null);
      if (read === 0) return Buffer.concat(chunks);
      length += read;
      if (length > bytesMax) {
        problems.push(
          problem(
            'error',
            'too-large',
            file,
            `With this file there are more than ${SOURCE_BYTES_MAX} bytes to read. Check that it is the file that you mean.`,
          ),
        );
        return null;
      }
      chunks.push(chunk.subarray(0, read));
    }
  } catch (error) {
    problems.push(unreadable(file, error));
    return null;
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

function unreadable(path: string, error: unknown): Problem {
  const code = (error as { code?: unknown }).code;
  const known = typeof code === 'string' && Object.hasOwn(REMEDIES, code) ? REMEDIES[code] : undefined;
  const words = known ?? `${error instanceof Error ? error.message : String(error)}. Check the file and its file system.`;
  return { code: 'unreadable-file', severity: 'error', path: '', place: null, message: `${shown(path)} cannot be read: ${words}` };
}

function problem(severity: 'error' | 'warning', code: string, file: string, message: string): Problem {
  return { code, severity, path: '', place: { file, line: 1, column: 1 }, message };
}
