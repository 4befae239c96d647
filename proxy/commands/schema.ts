/** `bulkhead schema`: the JSON Schema of the file. */
import { jsonSchema } from '../../config/schema.ts';
import { EXIT, printJson } from './exit.ts';

export function schema(): number {
  printJson(jsonSchema());
  return EXIT.yes;
}
