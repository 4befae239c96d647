/** The reference of the file as Markdown: what `bulkhead schema --text` prints, and what stands in config/REFERENCE.md. */
import { GLOSSARY, VALUES } from './glossary.ts';
import { type Key, type Place, placesOf } from './reference.ts';

const HEAD = `# The file, key by key

Made from the schemas that read the file (\`npm run schema\`); \`bulkhead schema --text\` prints it. In a path, \`NAME\` stands for a name of your choice
and \`[]\` for an entry of a list. A key that is left out has its default; a key that is not here is refused, with its place.
`;

/** A mapping with the names of another one is told by what differs, where no more than this many of its keys do. */
const DIFFERING_KEYS_MAX = 1;

export function referencePage(): string {
  const first = new Map<string, Place>();
  const repeated: string[] = [];
  const sections: string[] = [];
  for (const place of placesOf()) {
    if (repeated.some((path) => place.path.startsWith(`${path}.`))) continue;
    const names = place.keys.map((key) => key.name).join(' ');
    const before = first.get(names);
    const differing = place.keys.filter((key, i) => before === undefined || !isSame(key, before.keys[i]!));
    if (before === undefined || differing.length > DIFFERING_KEYS_MAX) {
      if (before === undefined) first.set(names, place);
      sections.push(section(place, '', place.keys));
    } else {
      repeated.push(place.path);
      sections.push(section(place, `The keys of ${link(before.path)}${differing.length === 0 ? '.\n' : ', but:\n\n'}`, differing));
    }
  }
  return [HEAD, VALUES, GLOSSARY, ...sections].join('\n');
}

function isSame(a: Key, b: Key): boolean {
  return a.type === b.type && a.bounds === b.bounds && a.fallback === b.fallback && a.isRequired === b.isRequired && a.about === b.about;
}

function section({ path, about }: Place, before: string, keys: readonly Key[]): string {
  const title = path === '' ? 'The top of the file' : `\`${path}\``;
  const lines = keys.map((key) => `- ${entry(key)}`).join('\n');
  return `## ${title}\n\n${path === '' ? '' : `${about}\n\n`}${before}${lines}${lines === '' ? '' : '\n'}`;
}

function entry(key: Key): string {
  const kind = [key.type, key.bounds].filter((part) => part !== null).join(', ');
  const absent = key.isRequired ? '; **required**' : key.fallback === null ? '' : `; default \`${key.fallback}\``;
  const example = key.example === null ? '' : `<br>\`${key.name}: ${key.example}\``;
  const below = key.places.length === 0 ? '' : ` Keys: ${key.places.map(link).join(', ')}.`;
  return `**\`${key.name}\`** (${kind}${absent}). ${key.about}${below}${example}`;
}

/** To the heading of a place, by the rule by which Markdown is shown with anchors: letters, digits, "-" and "_" stay. */
function link(path: string): string {
  return `[\`${path}\`](#${path.toLowerCase().replace(/[^a-z0-9_-]/g, '')})`;
}
