/** From YAML text to a tree. Everything that YAML lets a file do beyond plain data ends here: aliases, tags, odd keys, depth. */

import type { Node, Pair, YAMLMap, YAMLSeq } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Problem } from './document.ts';
import { ALIASED_NODES_MAX, DEPTH_MAX } from './limits.ts';
import { Children, type Origin, SourceText } from './origins.ts';
import { readPlainYaml } from './plain-yaml.ts';
import { formatPlace, pointerStep, shown } from './problem.ts';
import { explainSyntax } from './syntax.ts';
import type { Container, Tree } from './tree.ts';
import type { Environment } from './variables.ts';
import { coreScalar, substitute } from './variables.ts';

/** What one text came to. Without a tree there are errors among the problems. */
export interface Reading {
  readonly tree: Tree | null;
  readonly problems: readonly Problem[];
}

/** YAML 1.2 core whatever a `%YAML` line says: the same file must not mean two things. Duplicate keys are found below, in linear time. */
const YAML_OPTIONS = {
  schema: 'core',
  merge: false,
  uniqueKeys: false,
  prettyErrors: false,
  resolveKnownTags: false,
  logLevel: 'error',
} as const;

/** Stands for a value that could not be kept. */
const LOST = Symbol('lost');

/** Reads one text. `aliased` is the number of values that aliases stood for so far, counted over all texts. */
export function readYaml(file: string, text: string, env: Environment, budget: { aliased: number }): Reading {
  const plain = readPlainYaml(new SourceText(file, text), text, env);
  return plain === null ? readAnyYaml(file, text, env, budget) : { tree: plain, problems: [] };
}

/** The same by the yaml package alone, whatever the text is like. */
export function readAnyYaml(file: string, text: string, env: Environment, budget: { aliased: number }): Reading {
  const source = new SourceText(file, text);
  const parsed = parseDocument(text, YAML_OPTIONS);
  const faults = [...parsed.errors, ...parsed.warnings];
  if (faults.length > 0) return { tree: null, problems: explainSyntax(source, text, faults) };
  const builder = new Builder(source, env, budget);
  const data = builder.build(parsed.contents, 0);
  const at = parsed.contents?.range?.[0] ?? 0;
  const root: Origin = { source, key: at, at, step: '' };
  const { origins, lost, problems, broken } = builder;
  return { tree: broken ? null : { data: data === LOST ? null : data, root, origins, lost }, problems };
}

class Builder {
  readonly origins = new Map<object, Children>();
  readonly lost = new Set<string>();
  readonly problems: Problem[] = [];
  /** The text goes beyond a bound: what was read of it is not the whole. */
  broken = false;
  readonly #source: SourceText;
  readonly #env: Environment;
  readonly #budget: { aliased: number };
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  readonly #path: (string | number)[] = [];
  #insideAlias = 0;

  constructor(source: SourceText, env: Environment, budget: { aliased: number }) {
    this.#source = source;
    this.#env = env;
    this.#budget = budget;
  }

  build(node: Node | null, depth: number): unknown {
    if (this.broken) return LOST;
    if (node === null) return null;
    if (depth > DEPTH_MAX)
      return this.#break(
        'too-deep',
        node,
        `Values are nested more than ${DEPTH_MAX} deep. No part of the file needs that: look for an alias or a bracket too many.`,
      );
    if (this.#insideAlias > 0 && ++this.#budget.aliased > ALIASED_NODES_MAX) {
      return this.#break(
        'too-large',
        node,
        `Aliases stand for more than ${ALIASED_NODES_MAX} values. Name the list once as a segment, and use its name.`,
      );
    }
    if (isAlias(node)) return this.#alias(node, node.source, depth);
    if ('anchor' in node && typeof node.anchor === 'string') this.#anchors.set(node.anchor, node);
    if (node.tag !== undefined && !Object.hasOwn(CORE_TAGS, node.tag)) {
      return this.#lose('unsupported', node, `The tag ${shown(node.tag)} has no meaning here. Remove it.`);
    }
    if (isScalar(node)) return this.#scalar(node, node.value, node.type === 'PLAIN');
    this.#open.add(node);
    const value = isMap(node) ? this.#mapping(node, depth) : isSeq(node) ? this.#list(node, depth) : null;
    this.#open.delete(node);
    return value;
  }

  #mapping(node: YAMLMap, depth: number): Container | typeof LOST {
    const mapping: Record<string, unknown> = {};
    const origins = new Children(this.#source, false);
    this.origins.set(mapping, origins);
    for (const pair of node.items as Pair<Node, Node | null>[]) {
      const keyNode = pair.key;
      const key = isScalar(keyNode) ? keyText(keyNode) : null;
      if (isSeq(keyNode)) {
        return this.#lose(
          'wrong-type',
          keyNode,
          'A list cannot be a key. Where an address in brackets was meant, put all of it in quotes: "[::1]:80".',
        );
      }
      if (key === null || key === '__proto__') {
        this.#problem(
          'unknown-key',
          keyNode ?? node,
          'This key is not a name. Write one word (letters, digits, ".", "_", "-") followed by a colon.',
        );
        continue;
      }
      const at = keyNode.range?.[0] ?? 0;
      const first = origins.get(key);
      if (first !== undefined) {
        this.#path.push(key);
        this.#problem(
          'duplicate-key',
          keyNode,
          `The key ${shown(key)} is already at ${formatPlace(this.#source.place(first.key))}. Remove one of the two, or merge them.`,
        );
        this.#path.pop();
        continue;
      }
      this.#path.push(key);
      const value = this.build(pair.value, depth + 1);
      if (value === LOST) this.#remember();
      else mapping[key] = value;
      this.#path.pop();
      if (value !== LOST) origins.add(key, at, pair.value?.range?.[0] ?? at);
    }
    return mapping;
  }

  #list(node: YAMLSeq, depth: number): Container {
    const list: unknown[] = [];
    const origins = new Children(this.#source, true);
    this.origins.set(list, origins);
    for (const [index, item] of (node.items as (Node | null)[]).entries()) {
      this.#path.push(index);
      const value = this.build(item, depth + 1);
      if (value === LOST) this.#remember();
      this.#path.pop();
      if (value === LOST) continue;
      const at = item?.range?.[0] ?? node.range?.[0] ?? 0;
      list.push(value);
      origins.add(index, at, at);
    }
    return list;
  }

  #scalar(node: Node, value: unknown, plain: boolean): unknown {
    if (typeof value === 'bigint') return Number(value);
    if (typeof value !== 'string' || !value.includes('${')) return value;
    const result = substitute(value, this.#env);
    if (!result.ok) return this.#lose(result.code, node, result.message);
    // Quotes keep text text, so that a node named "0123" stays one; plain values take the type that they would have if written out.
    return plain ? coreScalar(result.text) : result.text;
  }

  #alias(node: Node, name: string, depth: number): unknown {
    const target = this.#anchors.get(name);
    if (target === undefined)
      return this.#lose('dangling-name', node, `No anchor &${name} stands before this alias. Define it further up in the same file.`);
    if (this.#open.has(target))
      return this.#lose('name-cycle', node, `The alias *${name} stands inside the value that it repeats. Write the value out.`);
    this.#insideAlias++;
    const value = this.build(target, depth);
    this.#insideAlias--;
    return value;
  }

  #remember(): void {
    this.lost.add(this.#pointer());
    this.lost.add(this.#path.slice(0, -1).map(pointerStep).join(''));
  }

  #lose(code: string, node: Node, message: string): typeof LOST {
    this.#problem(code, node, message);
    return LOST;
  }

  #break(code: string, node: Node, message: string): typeof LOST {
    this.#problem(code, node, message);
    this.broken = true;
    return LOST;
  }

  #problem(code: string, node: Node, message: string): void {
    this.problems.push({ code, severity: 'error', path: this.#pointer(), place: this.#source.place(node.range?.[0] ?? 0), message });
  }

  #pointer(): string {
    return this.#path.map(pointerStep).join('');
  }
}

const CORE_TAGS: Readonly<Record<string, true>> = {
  'tag:yaml.org,2002:str': true,
  'tag:yaml.org,2002:int': true,
  'tag:yaml.org,2002:float': true,
  'tag:yaml.org,2002:bool': true,
  'tag:yaml.org,2002:null': true,
  'tag:yaml.org,2002:map': true,
  'tag:yaml.org,2002:seq': true,
};

/** A key as it was written, so that a segment may be called `007` or `null`; null for an empty one. */
function keyText(node: { value: unknown; source?: string | undefined }): string | null {
  const text = node.source ?? (typeof node.value === 'string' ? node.value : String(node.value));
  return text === '' ? null : text;
}
