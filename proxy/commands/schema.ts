/** `bulkhead schema`: the JSON Schema of the file, or its reference for people. */
import { referencePage } from '../../config/reference-page.ts';
import { jsonSchema } from '../../config/schema.ts';
import { EXIT, print, printJson } from './exit.ts';

export interface SchemaWords {
  readonly text?: true;
}

export function schema({ text }: SchemaWords): number {
  if (text) print(referencePage().trimEnd());
  else printJson(jsonSchema());
  return EXIT.yes;
}
