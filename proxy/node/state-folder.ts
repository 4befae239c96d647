/** The state folder at the start: whether what is to be kept in it can be. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Document } from '../../config/document.ts';
import { isCode, tryFolder, whyNotKept } from '../versions/durable.ts';

/** Whether the file names a state folder: one that is named has to be usable, the usual one is done without. */
export function isStateNamed({ source }: Document): boolean {
  const { process } = source as { readonly process?: { readonly state?: unknown } };
  return process?.state !== undefined;
}

/** Why a state folder cannot be used, with what to do; null where it can. What it needs is made in it. */
export async function stateFault(state: string): Promise<string | null> {
  for (const folder of [state, join(state, 'versions'), join(state, 'journal')]) {
    try {
      await tryFolder(folder);
    } catch (error) {
      return `${folder} cannot be written (${whyNotKept(error).why})`;
    }
  }
  const audit = join(state, 'versions', 'audit.ndjson');
  try {
    await access(audit, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) return `${audit} cannot be written (${whyNotKept(error).why})`;
  }
  return null;
}
