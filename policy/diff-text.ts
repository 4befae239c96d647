/** A difference in words and as plain data. */
import { formatAddress } from '../config/address.ts';
import type { Endpoint, FlowQuestion, Rule } from '../config/document.ts';
import { H2, protocolNames } from '../config/protocols.ts';
import type { Difference, DiffGroup, Verdict } from './diff.ts';
import { placeText } from './place.ts';
import { momentText } from './schedule.ts';
import { coverOf, type SourceTerm, sourceTermText } from './space/cover.ts';
import type { Combination } from './space/fact-parts.ts';
import { ALL_KINDS, kindNames, kindsText } from './space/kinds.ts';
import { EVERY, type Pattern, type PatternSet } from './space/pattern-tree.ts';
import type { RequestRegion } from './space/requests.ts';

/** Of a list that a line shows; JSON has all of it. */
const SHOWN = 8;
const GROUPS_SHOWN = 200;

const HEADS = {
  gain: 'gains access',
  lose: 'loses access',
  rule: 'same verdict by another rule',
  treatment: 'same verdict, other treatment',
} as const;

/** Lines for a terminal. */
export function describeDifference({ groups, enforcement, uncertain, differs }: Difference): string[] {
  const lines = groups.slice(0, GROUPS_SHOWN).flatMap(describeGroup);
  if (groups.length > GROUPS_SHOWN) lines.push(`… and ${groups.length - GROUPS_SHOWN} more groups; --json tells all`, '');
  for (const change of enforcement) {
    const now = change.new === 'observe' ? 'what it denies is now let through' : 'what it denies is now kept out';
    lines.push(
      `enforcement of ${change.application}: ${change.old} before, ${change.new} after: ${now}`,
      `  to        ${endpoints(change.vips)}`,
      '',
    );
  }
  for (const sentence of uncertain) lines.push(`not certain: ${sentence}`);
  if (!differs) lines.push('no difference in meaning');
  else lines.push(summary(groups, enforcement.length));
  return lines;
}

function summary(groups: readonly DiffGroup[], enforcements: number): string {
  const count = (change: DiffGroup['change']) => groups.filter((group) => group.change === change).length;
  const parts = (['gain', 'lose', 'treatment'] as const).map((change) => {
    const number = count(change);
    const verb =
      change === 'treatment'
        ? number === 1
          ? 'is treated otherwise'
          : 'are treated otherwise'
        : number === 1
          ? HEADS[change]
          : HEADS[change].replace('s ', ' ');
    return number === 0 ? '' : `${number} group${number === 1 ? '' : 's'} of flows ${verb}`;
  });
  if (enforcements > 0) parts.push(`${enforcements} application${enforcements === 1 ? ' is' : 's are'} enforced otherwise`);
  const said = parts.filter((part) => part !== '').join(', ');
  return said === '' ? 'a difference cannot be ruled out' : said;
}

function describeGroup(group: DiffGroup): string[] {
  const { change, vips, kinds, region, requests, old, new: next, witness } = group;
  const lines = [
    HEADS[change],
    `  from      ${sourcesText(group)}`,
    `  to        ${endpoints(vips)}`,
    `  speaking  ${kindsText(kinds)}${requests ? '' : ' (no requests)'}`,
    ...(requests ? requestLines(region) : []),
    ...(region.when.length === 0 ? [] : [`  while     ${shortened(region.when.map(combinationText), ' or ')}`]),
    `  before    ${verdictText(old)}`,
    `  after     ${verdictText(next)}`,
  ];
  if (witness !== null) lines.push(`  witness   ${witnessText(witness)}`);
  return [...lines, ''];
}

function sourcesText({ sources, vips }: DiffGroup): string {
  if (vips[0]?.kind === 'unix') return 'whoever can open the socket';
  const terms = [4, 6].map((family) => coverOf(sources, family as 4 | 6));
  const [four, six] = terms as [SourceTerm[], SourceTerm[]];
  const all = (list: SourceTerm[]) => list.length === 1 && list[0]!.prefix.bits === 0 && list[0]!.except.length === 0;
  if (all(four) && all(six)) return 'any';
  const words = [
    ...(all(four) ? ['any IPv4 address'] : four.map(sourceTermText)),
    ...(all(six) ? ['any IPv6 address'] : six.map(sourceTermText)),
  ];
  return shortened(words, ', ');
}

function endpoints(vips: readonly Endpoint[]): string {
  return shortened(
    vips.map(({ text }) => text),
    ', ',
  );
}

function requestLines({ methods, hosts, paths }: RequestRegion): string[] {
  const lines: string[] = [];
  if (methods.names.length > 0) lines.push(`  method    ${methods.others ? 'any but ' : ''}${methods.names.join(', ')}`);
  if (!isEvery(hosts)) lines.push(`  host      ${patternsText(hosts, 'host')}`);
  if (!isEvery(paths)) lines.push(`  path      ${patternsText(paths, 'path')}`);
  return lines;
}

function verdictText({ verdict, applications, rules }: Verdict): string {
  if (applications.length === 1 && applications[0] === null) return 'deny: no application has a VIP there';
  const named = shortened(
    applications.map((name) => name ?? 'no application'),
    ', ',
  );
  return `${verdict} in ${named} by ${shortened(rules.map(ruleText), ', ')}`;
}

function ruleText(rule: Rule | null): string {
  if (rule === null) return 'default';
  return rule.place.line === 0 ? rule.name : `${rule.name} at ${placeText(rule.place)}`;
}

function combinationText({ holding, failing }: Combination): string {
  return [...holding, ...failing.map((text) => `not ${text}`)].join(' and ');
}

/** As `bulkhead explain` takes it. */
function witnessText(witness: FlowQuestion): string {
  return Object.entries(witnessFields(witness))
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');
}

/** The fields of one line of a batch. */
export function witnessFields(witness: FlowQuestion): Record<string, unknown> {
  const { from, to, protocols, method, host, path, headers, alpn, at, sni, ja4, identities, user, database, schema, command, keys } =
    witness;
  const others = Object.entries({ sni, ja4, identities, user, database, schema, command, keys }).filter(([, value]) => value !== null);
  const protocol = protocolNames(protocols).at(-1);
  return {
    from: formatAddress(from),
    to: to.text,
    ...(protocol === undefined ? {} : { protocol }),
    ...(protocol === 'websocket' && (protocols & H2) !== 0 ? { over: 'h2' } : {}),
    ...(method === null ? {} : { method }),
    ...(host === null ? {} : { host }),
    ...(path === null ? {} : { path }),
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
    ...(alpn.length === 0 ? {} : { alpn }),
    ...Object.fromEntries(others),
    ...(at === null ? {} : { at: momentText(at) }),
  };
}

/** Plain data, for `--json` and the API. */
export function differenceAsJson({ differs, groups, enforcement, uncertain }: Difference): object {
  const verdict = ({ verdict: said, applications, rules }: Verdict) => ({
    verdict: said,
    applications,
    rules: rules.map((rule) => ({
      rule: rule?.name ?? 'default',
      at: rule === null || rule.place.line === 0 ? null : placeText(rule.place),
    })),
  });
  return {
    differs,
    groups: groups.map((group) => ({
      change: group.change,
      sources: sourcesAsJson(group),
      vips: group.vips.map(({ text }) => text),
      protocols: group.kinds === ALL_KINDS ? null : kindNames(group.kinds),
      request: group.requests ? requestAsJson(group.region) : null,
      when: group.region.when,
      old: verdict(group.old),
      new: verdict(group.new),
      witness: group.witness === null ? null : witnessFields(group.witness),
    })),
    enforcement: enforcement.map((change) => ({ ...change, vips: change.vips.map(({ text }) => text) })),
    uncertain,
  };
}

function sourcesAsJson({ sources }: DiffGroup): object[] {
  const terms = [...coverOf(sources, 4), ...coverOf(sources, 6)];
  return terms.map(({ prefix, except }) => ({
    prefix: prefix.text,
    ...(except.length === 0 ? {} : { except: except.map(({ text }) => text) }),
  }));
}

function requestAsJson({ methods, hosts, paths }: RequestRegion): object | null {
  if (methods.others && methods.names.length === 0 && isEvery(hosts) && isEvery(paths)) return null;
  const terms = (set: PatternSet, dimension: 'host' | 'path') =>
    isEvery(set)
      ? null
      : set.map(({ pattern, except }) => ({
          pattern: patternText(pattern, dimension),
          except: except.map((one) => patternText(one, dimension)),
        }));
  return { methods: methods.names.length === 0 ? null : methods, hosts: terms(hosts, 'host'), paths: terms(paths, 'path') };
}

function isEvery(set: PatternSet): boolean {
  return JSON.stringify(set) === JSON.stringify(EVERY);
}

function patternsText(set: PatternSet, dimension: 'host' | 'path'): string {
  const texts = folded(
    set.filter(({ except }) => except.length === 0).map(({ pattern }) => pattern),
    dimension,
  );
  for (const { pattern, except } of set) {
    if (except.length > 0) texts.push(`${patternText(pattern, dimension)} but not ${folded(except, dimension).join(' and ')}`);
  }
  return shortened(texts, ', ');
}

/** `/a` and everything below `/a/` are one pattern in the file: `/a/*`. */
function folded(patterns: readonly Pattern[], dimension: 'host' | 'path'): string[] {
  const below = new Set(patterns.filter(({ exact, text }) => !exact && text.endsWith('/')).map(({ text }) => text.slice(0, -1)));
  return patterns
    .filter(({ exact, text }) => !(dimension === 'path' && exact && below.has(text)))
    .map((pattern) => patternText(pattern, dimension));
}

function patternText({ exact, text }: Pattern, dimension: 'host' | 'path'): string {
  if (exact) return text === '' ? '(none)' : text;
  if (text === '') return 'any';
  return dimension === 'host' ? `*${text}` : `${text}*`;
}

function shortened(texts: readonly string[], by: string): string {
  if (texts.length <= SHOWN) return texts.join(by);
  return `${texts.slice(0, SHOWN).join(by)} and ${texts.length - SHOWN} more`;
}
