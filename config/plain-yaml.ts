/**
 * A quick reader of the YAML that people write: mappings and lists in blocks or brackets, values on one line. It reads a text as the yaml
 * package reads it, to the same tree with the same places, or declines; whatever it declines is read by that package, which stays the
 * judge of what YAML is and the only one that explains what is wrong. So it declines everything rare and everything doubtful: anchors,
 * tags, block scalars, values over several lines, tabs, empty values, and whatever looks like a mistake.
 */
import { DEPTH_MAX } from './limits.ts';
import { Children, type SourceText } from './origins.ts';
import type { Container, Tree } from './tree.ts';
import type { Environment } from './variables.ts';
import { coreScalar, substitute } from './variables.ts';

/** Thrown and caught in this file. An object without a stack, because it is thrown for ordinary files. */
const DECLINED = Symbol('declined');

/** Where keys end; a longer one is refused by YAML 1.2.2 §7.4.2 beyond 1,024 characters. */
const KEY_CHARACTERS_MAX = 512;
const BLOCK_KEY = /(?:[A-Za-z0-9_/][A-Za-z0-9_./+*@-]*|"[^"\\\n]*"|'[^'\n]*'):(?=[ \n]|$)/y;
const FLOW_KEY = /(?:[A-Za-z0-9_/][A-Za-z0-9_./+*@-]*:(?=[ \n])|(?:"[^"\\\n]*"|'[^'\n]*'):)/y;
const PLAIN_START = /[A-Za-z0-9_/$]|[+.-][A-Za-z0-9_/]|:[0-9A-Fa-f:]/y;
const NOT_A_NUMBER = /\.(?:inf|nan)$/i;

const NEWLINE = 0x0a;
const SPACE = 0x20;
const QUOTE = 0x22;
const HASH = 0x23;
const APOSTROPHE = 0x27;
const COMMA = 0x2c;
const DASH = 0x2d;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_MAPPING = 0x7b;
const CLOSE_MAPPING = 0x7d;

/** The tree of a text, or null where the text is not of the kind that is read here. */
export function readPlainYaml(source: SourceText, text: string, env: Environment): Tree | null {
  try {
    return new PlainReader(source, text, env).read();
  } catch (error) {
    if (error === DECLINED) return null;
    throw error;
  }
}

class PlainReader {
  readonly #source: SourceText;
  readonly #text: string;
  readonly #env: Environment;
  readonly #origins = new Map<object, Children>();
  #at = 0;
  /** The column of what stands at `#at`, where that begins a line; -1 at the end of the text. */
  #column = 0;

  constructor(source: SourceText, text: string, env: Environment) {
    this.#source = source;
    this.#text = text;
    this.#env = env;
  }

  read(): Tree {
    this.#nextLine();
    this.#expectColumn(0);
    const at = this.#at;
    const data = this.#code() === OPEN_MAPPING ? this.#lineValue(-1, 0) : this.#blockMapping(0, 0);
    this.#expectColumn(-1);
    return { data, root: { source: this.#source, key: at, at, step: '' }, origins: this.#origins, lost: new Set() };
  }

  #expectColumn(column: number): void {
    if (this.#column !== column) throw DECLINED;
  }

  /** NaN behind the end. */
  #code(at = this.#at): number {
    return this.#text.charCodeAt(at);
  }

  /** From the start of a line to the next content. */
  #nextLine(): void {
    for (;;) {
      const start = this.#at;
      this.#skipSpaces();
      const code = this.#code();
      if (code === HASH) this.#skipComment();
      else if (code !== NEWLINE) {
        this.#column = Number.isNaN(code) ? -1 : this.#at - start;
        return;
      }
      if (this.#code() === NEWLINE) this.#at++;
    }
  }

  /** Behind a value: nothing but a comment may follow, then the next content is gone to. */
  #endLine(): void {
    const before = this.#at;
    this.#skipSpaces();
    if (this.#code() === HASH && this.#at > before) this.#skipComment();
    if (this.#at < this.#text.length) {
      if (this.#code() !== NEWLINE) throw DECLINED;
      this.#at++;
    }
    this.#nextLine();
  }

  #skipSpaces(): void {
    while (this.#code() === SPACE) this.#at++;
  }

  #skipComment(): void {
    const end = this.#text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.#text.length : end;
  }

  /** Stands at the first key; ends at content left of `column`. */
  #blockMapping(column: number, depth: number): Container {
    const mapping: Record<string, unknown> = {};
    const children = this.#open(mapping, depth);
    do {
      const keyAt = this.#at;
      const key = this.#key(BLOCK_KEY);
      if (key === null || Object.hasOwn(mapping, key)) throw DECLINED;
      this.#skipSpaces();
      const { value, at } = this.#blockValue(column, depth + 1, true);
      mapping[key] = value;
      children.add(key, keyAt, at);
    } while (this.#column === column);
    return mapping;
  }

  /** Stands at the first dash; ends at content left of `column`, or at a key in the same column. */
  #blockList(column: number, depth: number): Container {
    const list: unknown[] = [];
    const children = this.#open(list, depth);
    do {
      this.#at++;
      this.#skipSpaces();
      const { value, at } = this.#blockValue(column, depth + 1, false);
      children.add(list.push(value) - 1, at, at);
    } while (this.#column === column && this.#isDash());
    return list;
  }

  /** What stands behind a key or a dash in `parent`, and the way to the content that follows it. */
  #blockValue(parent: number, depth: number, ofKey: boolean): { value: unknown; at: number } {
    const code = this.#code();
    if (code === NEWLINE || code === HASH) {
      this.#endComment();
      const at = this.#at;
      if (this.#isDash() && (this.#column > parent || (ofKey && this.#column === parent)))
        return { value: this.#blockList(this.#column, depth), at };
      // A single value below its key is rare, and the package's own reading of it depends on comments in between.
      if (this.#column <= parent || !this.#isKey()) throw DECLINED;
      return { value: this.#blockMapping(this.#column, depth), at };
    }
    const at = this.#at;
    if (ofKey || !this.#isKey()) return { value: this.#lineValue(parent, depth), at };
    return { value: this.#blockMapping(at - (this.#text.lastIndexOf('\n', at) + 1), depth), at };
  }

  /** Behind a key or dash, where its value stands on a line of its own. */
  #endComment(): void {
    if (this.#code() === HASH) this.#skipComment();
    this.#at++;
    this.#nextLine();
  }

  /** A value that begins on this line. Where the next one stands further in, no container takes it, and the text is declined at its end. */
  #lineValue(parent: number, depth: number): unknown {
    const code = this.#code();
    const value =
      code === OPEN_LIST || code === OPEN_MAPPING
        ? this.#flow(parent, depth)
        : code === QUOTE || code === APOSTROPHE
          ? this.#quoted()
          : this.#plain(false);
    this.#endLine();
    return value;
  }

  /** A list or mapping in brackets; its lines stand further in than `parent`. */
  #flow(parent: number, depth: number): Container {
    const isList = this.#code() === OPEN_LIST;
    const close = isList ? CLOSE_LIST : CLOSE_MAPPING;
    const container: Record<string, unknown> | unknown[] = isList ? [] : {};
    const children = this.#open(container, depth);
    this.#at++;
    this.#skipWithin(parent);
    while (this.#code() !== close) {
      const keyAt = this.#at;
      if (Array.isArray(container)) children.add(container.push(this.#flowValue(parent, depth + 1)) - 1, keyAt, keyAt);
      else {
        const key = this.#key(FLOW_KEY);
        if (key === null || Object.hasOwn(container, key)) throw DECLINED;
        this.#skipWithin(parent);
        const at = this.#at;
        container[key] = this.#flowValue(parent, depth + 1);
        children.add(key, keyAt, at);
      }
      this.#skipWithin(parent);
      if (this.#code() === close) break;
      if (this.#code() !== COMMA) throw DECLINED;
      this.#at++;
      this.#skipWithin(parent);
    }
    this.#at++;
    return container;
  }

  #flowValue(parent: number, depth: number): unknown {
    const code = this.#code();
    if (code === OPEN_LIST || code === OPEN_MAPPING) return this.#flow(parent, depth);
    return code === QUOTE || code === APOSTROPHE ? this.#quoted() : this.#plain(true);
  }

  /** Blanks, line ends and comments between brackets. */
  #skipWithin(parent: number): void {
    let lineAt = -1;
    for (;;) {
      const before = this.#at;
      this.#skipSpaces();
      const code = this.#code();
      // The package takes a comment at the very start of a line for a mistake, if a value stands before it.
      if (code === HASH && this.#at > before) this.#skipComment();
      else if (code !== NEWLINE) break;
      if (this.#code() !== NEWLINE) throw DECLINED;
      lineAt = ++this.#at;
    }
    if (lineAt >= 0 && this.#at - lineAt <= parent) throw DECLINED;
    // A line that begins so would end the document.
    if (lineAt === this.#at && (this.#code() === DASH || this.#code() === 0x2e)) throw DECLINED;
  }

  /** A key with its colon; null where there is none. */
  #key(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return null;
    const start = this.#at;
    this.#at = pattern.lastIndex;
    const quoted = this.#code(start) === QUOTE || this.#code(start) === APOSTROPHE;
    const key = quoted ? this.#text.slice(start + 1, this.#at - 2) : this.#text.slice(start, this.#at - 1);
    return key === '' || key === '__proto__' || key.length > KEY_CHARACTERS_MAX ? null : key;
  }

  #isKey(): boolean {
    BLOCK_KEY.lastIndex = this.#at;
    return BLOCK_KEY.test(this.#text);
  }

  #isDash(): boolean {
    return this.#code() === DASH && (this.#code(this.#at + 1) === SPACE || this.#code(this.#at + 1) === NEWLINE);
  }

  /** Text in quotes on one line. */
  #quoted(): unknown {
    const start = this.#at;
    const quote = this.#text[start]!;
    let end = this.#text.indexOf(quote, start + 1);
    if (quote === "'") while (end >= 0 && this.#code(end + 1) === APOSTROPHE) end = this.#text.indexOf(quote, end + 2);
    else while (end >= 0 && this.#isEscaped(end)) end = this.#text.indexOf(quote, end + 1);
    if (end < 0) throw DECLINED;
    this.#at = end + 1;
    const inside = this.#text.slice(start + 1, end);
    if (inside.includes('\n') || inside.includes('\t')) throw DECLINED;
    return this.#substituted(quote === "'" ? inside.replaceAll("''", "'") : inside.includes('\\') ? unescaped(inside) : inside, false);
  }

  #isEscaped(at: number): boolean {
    let backslashes = 0;
    while (this.#text[at - 1 - backslashes] === '\\') backslashes++;
    return backslashes % 2 === 1;
  }

  /** Text without quotes, to the end of the line or to what ends it between brackets. */
  #plain(inFlow: boolean): unknown {
    const start = this.#at;
    PLAIN_START.lastIndex = start;
    if (!PLAIN_START.test(this.#text)) throw DECLINED;
    let end = start;
    let at = start;
    for (; ; at++) {
      const code = this.#code(at);
      if (code === SPACE) {
        if (this.#code(at + 1) === HASH) break;
        continue;
      }
      if (Number.isNaN(code) || code === NEWLINE) break;
      if (code < SPACE || code > 0x7e) throw DECLINED;
      const isIndicator = isFlowIndicator(code);
      if (inFlow && isIndicator) break;
      if (code === COLON) {
        const next = this.#code(at + 1);
        if (Number.isNaN(next) || next <= SPACE || (inFlow && isFlowIndicator(next))) throw DECLINED;
      }
      end = at + 1;
    }
    this.#at = end;
    return this.#substituted(this.#text.slice(start, end), true);
  }

  /** Quotes keep text text; plain values take the type that they would have if written out. */
  #substituted(text: string, plain: boolean): unknown {
    if (!text.includes('${')) return plain ? typed(text) : text;
    const result = substitute(text, this.#env);
    if (!result.ok) throw DECLINED;
    return plain ? coreScalar(result.text) : result.text;
  }

  #open(container: Container, depth: number): Children {
    if (depth > DEPTH_MAX) throw DECLINED;
    const children = new Children(this.#source, Array.isArray(container));
    this.#origins.set(container, children);
    return children;
  }
}

function isFlowIndicator(code: number): boolean {
  return code === COMMA || code === OPEN_LIST || code === CLOSE_LIST || code === OPEN_MAPPING || code === CLOSE_MAPPING;
}

/** JSON's escapes mean the same in YAML, which has more. */
function unescaped(inside: string): string {
  try {
    return JSON.parse(`"${inside}"`) as string;
  } catch {
    throw DECLINED;
  }
}

/** The value of plain text. What can only be a number begins like one, and addresses are told from numbers by what else they hold. */
function typed(text: string): unknown {
  const first = text.charCodeAt(0);
  if (first >= 0x30 && first <= 0x39 && (text.includes('/') || text.includes(':'))) return text;
  if (text.length > 5 && (first > 0x40 || first === 0x2f)) return text;
  if (NOT_A_NUMBER.test(text) || (text.length > 15 && /^[-+]?[0-9.eE+-]+$/.test(text))) throw DECLINED;
  return coreScalar(text);
}
