/** The fields of a request, as rules ask for them. They are those that go to the server. */
import { hashOn } from './hash.ts';

/** Looked at when a rule asks for a field. Names are lower case, and a `-` in one stands for `_` too. */
export interface HeaderLookup {
  /** The values of a field's lines, without blanks around them. */
  fieldLines(name: string): readonly string[];
  /** Shows the values of all lines whose names a visitor asks for. */
  visitFields(visitor: FieldVisitor): void;
}

/** Names are told apart by their hashes, so that no text is made of those that nobody asks for. Two of one hash are both shown. */
export interface FieldVisitor {
  /** hot: whether a rule may ask for a field whose name has this hash, see `fieldName`. */
  asksFor(name: number): boolean;
  visit(name: number, value: string): void;
}

const NO_NAME = 0x811c9dc5 | 0;
/** Lower case for either case, and `-` for `_`. */
const FOLDED = Uint8Array.from({ length: 256 }, (_, unit) => (unit === 0x5f ? 0x2d : unit >= 0x41 && unit <= 0x5a ? unit | 0x20 : unit));

/** The hash of a field's name. */
export function fieldName(name: string): number {
  let hash = NO_NAME;
  for (let i = 0; i < name.length; i++) hash = hashOn(hash, FOLDED[name.charCodeAt(i)]!);
  return hash;
}

/** hot where rules ask for fields: of a name that stands in the bytes [start, end). */
export function fieldNameIn(bytes: Uint8Array, start: number, end: number): number {
  let hash = NO_NAME;
  for (let at = start; at < end; at++) hash = hashOn(hash, FOLDED[bytes[at]!]!);
  return hash;
}

/** Fields that stand in no head. */
export function fieldsOf(lines: readonly (readonly [name: string, value: string])[]): HeaderLookup {
  return {
    fieldLines: (name) => lines.filter(([other]) => other === name).map(([, value]) => value),
    visitFields(visitor) {
      for (const [text, value] of lines) {
        const name = fieldName(text);
        if (visitor.asksFor(name)) visitor.visit(name, value);
      }
    },
  };
}
