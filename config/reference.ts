/** What the schemas say of every key of the file, for people: its type, bounds, default, meaning and an example. */
import * as z from 'zod';
import { fileSchema, noteOf } from './schema.ts';
import type { Note } from './schema-leaves.ts';

/** A mapping of the file and its keys; `NAME` in a path stands for any name, `[]` for any entry of a list. */
export interface Place {
  readonly path: string;
  readonly about: string;
  readonly keys: readonly Key[];
}

export interface Key {
  readonly name: string;
  readonly type: string;
  /** null: none, or those of its type. */
  readonly bounds: string | null;
  /** As people write it; null: none. */
  readonly fallback: string | null;
  readonly isRequired: boolean;
  readonly about: string;
  /** A value as people write it; null where the keys of `places` have theirs. */
  readonly example: string | null;
  /** Paths of the mappings that may stand there. */
  readonly places: readonly string[];
  readonly schema: z.ZodType;
}

type Schema = z.core.$ZodType;
type Def = z.core.$ZodTypes['_zod']['def'];

/** Every mapping of the file, each before those in it. */
export function placesOf(root: z.ZodType = fileSchema): Place[] {
  return placesAt(root, '', 'The whole file.');
}

function placesAt(schema: Schema, path: string, about: string): Place[] {
  const shapes = mappingsIn(schema, path).filter((mapping) => mapping.path === path);
  const fields = shapes.flatMap(({ fields }) => Object.entries(fields));
  const keys = fields.map(([name, field]) => keyOf(name, field as z.ZodType, join(path, name)));
  const inner = fields.flatMap(([name, field]) => {
    const below = new Set(mappingsIn(field, join(path, name)).map((mapping) => mapping.path));
    return [...below].flatMap((at) => placesBelow(field, join(path, name), at, describe(field)));
  });
  return [{ path, about, keys }, ...inner];
}

/** The mapping at `at`, which may be in a list or under names. */
function placesBelow(schema: Schema, path: string, at: string, about: string): Place[] {
  const found = mappingsIn(schema, path).filter((mapping) => mapping.path === at);
  const fields = Object.assign({}, ...found.map((mapping) => mapping.fields)) as z.core.$ZodShape;
  return placesAt(z.object(fields), at, about);
}

/** The mappings that a value may be or hold in a list or under names, without those in their keys. */
function mappingsIn(schema: Schema, path: string): { path: string; fields: z.core.$ZodShape }[] {
  const def = defOf(schema);
  switch (def.type) {
    case 'object':
      return [{ path, fields: def.shape }];
    case 'array':
      return mappingsIn(def.element, `${path}[]`);
    case 'record':
      return mappingsIn(def.valueType, `${path}.NAME`);
    case 'union':
      return def.options.flatMap((option) => mappingsIn(option, path));
    default:
      return [];
  }
}

function keyOf(name: string, schema: z.ZodType, path: string): Key {
  const note = ownNote(schema);
  const places = [...new Set(mappingsIn(schema, path).map((mapping) => mapping.path))];
  const isRequired = !schema.safeParse(undefined).success;
  const fallback = isRequired || note.default === undefined ? null : written(note.default);
  return {
    name,
    type: typeOf(schema),
    bounds: boundsOf(schema, note),
    fallback: fallback === '{}' ? null : fallback,
    isRequired,
    about: describe(schema),
    example: exampleOf(schema, fallback),
    places,
    schema,
  };
}

function typeOf(schema: Schema): string {
  const note = ownNote(schema);
  if (note.type !== undefined) return note.type;
  const def = defOf(schema);
  switch (def.type) {
    case 'object':
      return 'mapping';
    case 'array':
      return `list of ${each(typeOf(def.element))}`;
    case 'record':
      return `mapping of names to ${each(typeOf(def.valueType))}`;
    case 'union':
      return [...new Set(def.options.map(typeOf))].join(' or ');
    case 'literal':
      return def.values.map((value) => `\`${String(value)}\``).join(', ');
    case 'enum':
      return choices(Object.values(def.entries));
    case 'boolean':
      return '`true` or `false`';
    case 'number':
      return 'whole number';
    default:
      return 'text';
  }
}

function choices(values: readonly (string | number)[]): string {
  return values.length === 1 ? `\`${values[0]}\`` : `one of ${values.map((value) => `\`${value}\``).join(', ')}`;
}

function each(type: string): string {
  return type === 'mapping' ? 'mappings' : /,| or /.test(type) ? `(${type})` : type;
}

function boundsOf(schema: Schema, note: Note): string | null {
  const bounds = note.bounds ?? ownBounds(schema);
  const [least, most] = entriesOf(schema);
  const entries =
    most !== null ? `${least ?? 0} to ${most} entries` : least !== null ? `at least ${least} ${least === 1 ? 'entry' : 'entries'}` : null;
  const all = [entries, bounds].filter((part) => part !== null && part !== undefined);
  return all.length === 0 ? null : all.join('; ');
}

/** Of the one kind of value in a list or a choice that has bounds. */
function ownBounds(schema: Schema): string | undefined {
  const note = ownNote(schema);
  if (note.bounds !== undefined) return note.bounds;
  const def = defOf(schema);
  if (def.type === 'array') return ownBounds(def.element);
  return def.type === 'union' ? def.options.map(ownBounds).find((bounds) => bounds !== undefined) : undefined;
}

function entriesOf(schema: Schema): [number | null, number | null] {
  const def = defOf(schema);
  if (def.type !== 'array') return [null, null];
  const checks = (def.checks ?? []).map((check) => check._zod.def as { check: string; minimum?: number; maximum?: number });
  return [
    checks.find((check) => check.check === 'min_length')?.minimum ?? null,
    checks.find((check) => check.check === 'max_length')?.maximum ?? null,
  ];
}

function exampleOf(schema: Schema, fallback: string | null): string | null {
  const note = ownNote(schema);
  const def = defOf(schema);
  if (note.example !== undefined) return note.example;
  const named = /\bsuch as (.+?)(?= or |, or |,? as text|,? with at least|, as bulkhead| with |; | in mode | \(|, which|$)/.exec(
    note.expects ?? '',
  )?.[1];
  if (named !== undefined) return def.type === 'array' && !named.startsWith('[') ? `[${named}]` : named;
  switch (def.type) {
    case 'enum':
      return (
        Object.values(def.entries)
          .map(written)
          .find((value) => value !== fallback) ?? fallback
      );
    case 'literal':
      return written(def.values[0]);
    case 'boolean':
      return fallback === 'false' ? 'true' : 'false';
    case 'array': {
      const element = exampleOf(def.element, null);
      return element === null ? null : `[${element}]`;
    }
    case 'union':
      return def.options.map((option) => exampleOf(option, null)).find((example) => example !== null) ?? null;
    case 'string':
      return 'shop';
    default:
      return null;
  }
}

/** In flow style, as it could stand behind the key. */
function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  // Text that YAML would read as a number.
  if (typeof value === 'string' && /^[0-9.]+$/.test(value)) return `"${value}"`;
  if (typeof value !== 'object' || value === null) return String(value);
  const entries = Object.entries(value).map(([key, entry]) => `${key}: ${written(entry)}`);
  return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
}

/** Without what says only that a key may be absent, or what becomes of a good value. */
function defOf(schema: Schema): Def {
  const def = schema._zod.def as Def;
  switch (def.type) {
    case 'optional':
    case 'default':
    case 'prefault':
      return defOf(def.innerType);
    case 'pipe':
      return defOf(def.in);
    default:
      return def;
  }
}

/** What the schema says of itself, the outermost first. */
function ownNote(schema: Schema): Note {
  const note = noteOf(schema);
  const def = schema._zod.def as Def;
  if (def.type === 'optional' || def.type === 'default' || def.type === 'prefault') return { ...ownNote(def.innerType), ...note };
  return def.type === 'pipe' ? { ...ownNote(def.in), ...note } : note;
}

function describe(schema: Schema): string {
  const said = (schema as z.ZodType).description;
  if (said !== undefined) return said;
  const def = schema._zod.def as Def;
  return 'innerType' in def ? describe(def.innerType) : '';
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
