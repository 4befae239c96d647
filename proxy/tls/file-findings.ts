/** What is wrong with the files that TLS is made of, collected while they are read. */
import { readFileSync, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { cwd } from 'node:process';
import type { Place, Problem } from '../../config/document.ts';

/** A bundle of every public authority has 250 KiB; revocation lists may be larger. */
export const TLS_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** Collects what is wrong with the files of one owner. */
export class Findings {
  readonly problems: Problem[] = [];

  error(code: string, path: string, place: Place | null, message: string): null {
    this.problems.push({ code, severity: 'error', path, place, message });
    return null;
  }

  warning(code: string, path: string, place: Place | null, message: string): void {
    this.problems.push({ code, severity: 'warning', path, place, message });
  }

  get good(): boolean {
    return !this.problems.some((problem) => problem.severity === 'error');
  }
}

export function readText(file: string, path: string, place: Place, findings: Findings): string | null {
  return readBytes(file, path, place, findings)?.toString('latin1') ?? null;
}

export function readBytes(file: string, path: string, place: Place, findings: Findings): Buffer | null {
  try {
    if (statSync(file).size > TLS_FILE_BYTES_MAX)
      return findings.error('file-unreadable', path, place, `${file} has more than ${TLS_FILE_BYTES_MAX} bytes. Name another file.`);
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const remedy = isAbsolute(file)
      ? 'The user of the node must be able to read it.'
      : `Paths are relative to the working directory, which is ${cwd()} here; the user of the node must be able to read the file.`;
    return findings.error('file-unreadable', path, place, `${file} cannot be read (${code ?? message}). ${remedy}`);
  }
}

/** null where it throws. */
export function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch {
    return null;
  }
}
