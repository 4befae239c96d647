/** `bulkhead print`: the file as it was understood, in normal form. */
import { stringify } from 'yaml';
import { normalised } from '../../policy/print.ts';
import { EXIT, print, printJson } from './exit.ts';
import { loadGoodFile } from './loaded.ts';

/** Long lists of prefixes wrap; nothing else is that wide. */
const LINE_WIDTH = 120;

/** Returns the exit status. */
export function printFile(file: string, words: { readonly json?: true }): number {
  const data = normalised(loadGoodFile(file).source);
  if (words.json) printJson(data);
  else print(printed(data).trimEnd());
  return EXIT.yes;
}

/** Plain data as YAML without aliases. */
export function printed(data: unknown): string {
  return stringify(data, { aliasDuplicateObjects: false, lineWidth: LINE_WIDTH });
}
