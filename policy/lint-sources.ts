/** Findings about sources: who is meant, and whether it is who is written. */
import type { Prefix } from '../config/address.ts';
import { formatPrefix } from '../config/address.ts';
import type { Document, Place, Problem, Rule, SourceTerm } from '../config/document.ts';
import { shown } from '../config/problem.ts';
import { partition } from './partition.ts';
import { NOBODY, SourceGraph } from './sources.ts';

interface Written {
  readonly prefix: Prefix;
  readonly path: string;
  readonly place: Place;
  /** What stands beside it in the list. */
  readonly list: readonly Prefix[];
}

export interface PlacedRule {
  readonly rule: Rule;
  /** JSON pointer. */
  readonly path: string;
  readonly mode: 'http' | 'tcp' | null;
  /** A VIP of the application. */
  readonly vip: string | null;
}

/** Every rule with where it stands. */
export function placedRules(document: Document): PlacedRule[] {
  const of = (rules: readonly Rule[], path: string, mode: PlacedRule['mode'], vip: string | null) =>
    rules.map((rule, i) => ({ rule, path: `${path}/${i}`, mode, vip }));
  const anyVip = document.applications[0]?.vips[0]?.endpoint.text ?? null;
  return [
    ...of(document.guardrails, '/guardrails', null, anyVip),
    ...document.applications.flatMap(({ name, rules, mode, vips }) => {
      return of(rules, `/applications/${pointer(name)}/rules`, mode, vips[0]?.endpoint.text ?? null);
    }),
    ...of(document.baseline, '/baseline', null, anyVip),
  ];
}

/**
 * Allow rules for everyone, where sources could be narrower. Applications of requests are left alone: a public site is for everyone, and
 * what it must not show is a matter of its rules on requests.
 */
export function allowAny(rules: readonly PlacedRule[]): Problem[] {
  return rules
    .filter(
      ({ rule, mode }) => rule.action === 'allow' && mode !== 'http' && rule.http === null && rule.identities === null && !rule.shadow,
    )
    .filter(({ rule }) => rule.except.length === 0 && rule.from.some(({ kind }) => kind === 'any'))
    .map(({ rule, path, mode, vip }) => {
      const whom = mode === null ? 'in every application, whatever its own rules say' : 'by address alone';
      const example = vip === null ? '' : `, such as 203.0.113.7 to ${vip}`;
      const message = `Rule "${rule.name}" lets everyone in ${whom}${example}. Say with from: who needs it, or with silence: why everyone does.`;
      return { code: 'allow-any', severity: 'warning', path, place: rule.place, message };
    });
}

/** Segments to which no address belongs. Those of pools, names and databases may fill up without a change of the file. */
export function emptySegments(document: Document): Problem[] {
  const graph = new SourceGraph(document);
  const settled = document.segments.filter(({ name, addresses, except, pools, countries, asns, dns }) => {
    const canBeEmpty = addresses.length === 0 || except.length > 0;
    return (
      canBeEmpty &&
      [pools, countries, asns, dns].every((list) => list.length === 0) &&
      !graph.dependsOnIdentity([{ kind: 'segment', name }])
    );
  });
  if (settled.length === 0) return [];
  const nodes = settled.map(({ name }) => graph.sourceOf([{ kind: 'segment', name }], []));
  const { initial, changes } = partition(graph);
  return settled.flatMap(({ name, place }, i) => {
    const node = nodes[i]!;
    const isEmpty = node === NOBODY || (node >= 0 && initial[node] === 0 && changes[node]!.length === 0);
    if (!isEmpty || graph.unknownIn([{ kind: 'segment', name }]) !== null) return [];
    const message = `No address is in segment "${name}": its except: takes away all that it has, or it has nothing. Rules that name it match nobody.`;
    return [{ code: 'segment-empty', severity: 'warning' as const, path: `/segments/${pointer(name)}`, place, message }];
  });
}

/** Address forms that are not what they seem. */
export function addressForms(document: Document, rules: readonly PlacedRule[]): Problem[] {
  const written: Written[] = [];
  const add = (list: readonly Prefix[], path: string, place: Place) => {
    for (const [i, prefix] of list.entries()) written.push({ prefix, path: `${path}/${i}`, place, list });
  };
  const prefixes = (terms: readonly SourceTerm[]) => terms.flatMap((term) => (term.kind === 'prefix' ? [term.prefix] : []));
  for (const { name, addresses, except, place } of document.segments) {
    add(addresses, `/segments/${pointer(name)}/addresses`, place);
    add(prefixes(except), `/segments/${pointer(name)}/except`, place);
  }
  for (const { rule, path } of rules) {
    add(prefixes(rule.from), `${path}/from`, rule.place);
    add(prefixes(rule.except), `${path}/except`, rule.place);
  }
  return written.flatMap(({ prefix, path, place, list }) => {
    if (prefix.family === 4 && prefix.text.includes(':')) {
      const message = `${shown(prefix.text)} is written as IPv6 and stands for the IPv4 source ${formatPrefix(prefix)}. Write it as IPv4.`;
      return [{ code: 'address-mapped', severity: 'warning' as const, path, place, message, suggestion: formatPrefix(prefix) }];
    }
    const other = list.some(({ family, bits }) => family !== prefix.family && bits === 0);
    if (prefix.bits !== 0 || other) return [];
    const [is, isNot] = prefix.family === 4 ? ['IPv4', 'IPv6'] : ['IPv6', 'IPv4'];
    const message = `${shown(prefix.text)} is every ${is} address and no ${isNot} address. Write any for both, or add the other one.`;
    return [{ code: 'half-of-any', severity: 'warning' as const, path, place, message }];
  });
}

/** A name as a part of a JSON pointer (RFC 6901 §3). */
export function pointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
