/** Every name of the file, known before anything refers to one: what was written counts, even where the rest of it is wrong. */
import { parsePrefix } from './address.ts';
import { adviseAddress } from './advice.ts';
import type { SourceTerm } from './document.ts';
import { warnOfHostBit } from './host-bits.ts';
import { formatPlace, shown } from './problem.ts';
import { nearest } from './spelling.ts';
import type { Path, Report, Tree } from './tree.ts';
import { isMapping, placeAt, valueAt } from './tree.ts';

/** Words that stand for something else where a name may be. */
const RESERVED: ReadonlySet<string> = new Set(['any', 'default']);

/** What can only have been meant as an address, so that a slip in it is not taken for a name. */
const LIKE_AN_ADDRESS = /[/:%*[\]]|^[+-]?[0-9][0-9.xX-]*$/;

export class Names {
  readonly segments: ReadonlySet<string>;
  readonly pools: ReadonlySet<string>;
  /** Names of rules, wherever they stand. */
  readonly rules: ReadonlySet<string>;
  readonly #report: Report;
  /** Whether a name that is not here may stand in a part of the file that could not be read: then nothing is said of it. */
  readonly #sourcesUnsure: boolean;
  readonly #poolsUnsure: boolean;
  readonly #rulesUnsure: boolean;

  constructor(original: Tree, report: Report) {
    this.#report = report;
    this.segments = keysOf(original, 'segments');
    this.pools = keysOf(original, 'pools');
    const rules = ruleNames(original);
    this.rules = rules.names;
    this.#poolsUnsure = isUnsure(original, 'pools');
    this.#sourcesUnsure = this.#poolsUnsure || isUnsure(original, 'segments');
    this.#rulesUnsure = rules.unsure;
    for (const [section, names] of [
      ['segments', this.segments],
      ['pools', this.pools],
    ] as const) {
      for (const name of names) this.#checkName(section, name);
    }
    for (const name of this.segments) if (this.pools.has(name)) this.#checkShared(original, name);
  }

  /** The sources that a list of texts names. What cannot be one is reported and left out. */
  terms(texts: readonly string[], path: Path): SourceTerm[] {
    return texts.flatMap((text, index) => this.term(text, [...path, index]) ?? []);
  }

  term(text: string, path: Path): SourceTerm | null {
    if (text === 'any') return { kind: 'any' };
    if (this.segments.has(text)) return { kind: 'segment', name: text };
    if (this.pools.has(text)) return { kind: 'pool', name: text };
    const prefix = parsePrefix(text);
    if (prefix !== null) {
      warnOfHostBit(prefix, path, this.#report);
      return { kind: 'prefix', prefix };
    }
    if (LIKE_AN_ADDRESS.test(text)) {
      const advice = adviseAddress(text, true);
      this.#report.error(advice.code, path, advice.message, { suggestion: advice.suggestion });
      return null;
    }
    if (this.#sourcesUnsure) return null;
    const hostName = text.includes('.') ? ' A host name cannot be a source: write its addresses.' : '';
    const suggestion = nearest(text, [...this.segments, ...this.pools, 'any']);
    this.#report.error(
      'dangling-name',
      path,
      `No segment or pool is named ${shown(text)}. Add it under segments:, or correct the name.${hostName}`,
      { suggestion },
    );
    return null;
  }

  /** Whether a pool exists; reports it where not. */
  hasPool(name: string, path: Path): boolean {
    if (this.pools.has(name)) return true;
    if (this.#poolsUnsure) return false;
    const suggestion = nearest(name, this.pools);
    this.#report.error('dangling-name', path, `No pool is named ${shown(name)}. Add it under pools:, or correct the name.`, { suggestion });
    return false;
  }

  /** Whether a segment exists; reports it where not. */
  hasSegment(name: string, path: Path): boolean {
    if (this.segments.has(name)) return true;
    if (this.#sourcesUnsure) return false;
    const hint = this.pools.has(name)
      ? ' There is a pool of that name: write it under pools: of this segment.'
      : ' Add it under segments:, or correct the name.';
    this.#report.error('dangling-name', path, `No segment is named ${shown(name)}.${hint}`, { suggestion: nearest(name, this.segments) });
    return false;
  }

  /** Whether a rule of that name may exist somewhere. */
  mayHaveRule(name: string): boolean {
    return this.#rulesUnsure || this.rules.has(name);
  }

  #checkName(section: string, name: string): void {
    if (RESERVED.has(name)) {
      this.#report.error('reserved-name', [section, name], `The name ${shown(name)} already has a meaning. Choose another one.`, {
        side: 'key',
      });
    } else if (parsePrefix(name) !== null || /^[0-9.]+$/.test(name)) {
      this.#report.error('bad-name', [section, name], `The name ${shown(name)} reads as an address. Choose one with letters.`, {
        side: 'key',
      });
    }
  }

  /** A segment may bear its pool's name only where both mean the same sources. */
  #checkShared(original: Tree, name: string): void {
    const segment = valueAt(original, ['segments', name]);
    if (isMapping(segment) && Object.keys(segment).length === 1 && (segment.pool === name || isOnly(segment.pools, name))) return;
    const pool = formatPlace(placeAt(original, ['pools', name], 'key'));
    this.#report.error(
      'ambiguous-name',
      ['segments', name],
      `The pool at ${pool} has the name ${shown(name)} too, so that a rule's from: could mean either. Rename one, or let the segment be just { pool: ${name} }.`,
      { side: 'key' },
    );
  }
}

function isOnly(value: unknown, name: string): boolean {
  return Array.isArray(value) && value.length === 1 && value[0] === name;
}

function keysOf(tree: Tree, section: string): Set<string> {
  const value = valueAt(tree, [section]);
  return new Set(isMapping(value) ? Object.keys(value) : []);
}

/** A section that is not a mapping, or that lost an entry, may have held any name. */
function isUnsure(tree: Tree, section: string): boolean {
  const value = valueAt(tree, [section]);
  return (value !== undefined && !isMapping(value)) || tree.lost.has(`/${section}`);
}

/** Where a rule, a list of rules or the name of a rule was lost. */
const LOST_RULES = /^\/(?:guardrails|baseline|applications(?:\/[^/]+(?:\/rules)?)?)$|\/name$/;

function ruleNames(tree: Tree): { names: Set<string>; unsure: boolean } {
  const names = new Set<string>();
  const applications = valueAt(tree, ['applications']);
  const lists = [valueAt(tree, ['guardrails']), valueAt(tree, ['baseline'])];
  let unsure = [...tree.lost].some((pointer) => LOST_RULES.test(pointer)) || isUnsure(tree, 'applications');
  for (const application of isMapping(applications) ? Object.values(applications) : []) {
    if (isMapping(application)) lists.push(application.rules);
    else unsure = true;
  }
  for (const list of lists) {
    if (list === undefined) continue;
    if (!Array.isArray(list)) unsure = true;
    else for (const rule of list) if (isMapping(rule) && typeof rule.name === 'string') names.add(rule.name);
  }
  return { names, unsure };
}
