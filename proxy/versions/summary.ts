/** What a change of document changes, by name: for the list of versions, for the audit, for a rehearsal. */
import type { Document, Rule } from '../../config/document.ts';

export interface NamedChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export interface ChangeSummary {
  readonly applications: NamedChanges;
  /** `shop/customers`, `guardrails/no-telnet`, `baseline/monitoring`. */
  readonly rules: NamedChanges;
  /** Lists whose rules came into another order: `shop`, `guardrails`. */
  readonly reordered: readonly string[];
  readonly segments: NamedChanges;
  readonly pools: NamedChanges;
  /** One line for people. */
  readonly text: string;
}

/** More names tell nobody more; the counts in `text` stay exact. */
const NAMES_MAX = 100;

/** `before` null: the first document. */
export function summarise(before: Document | null, after: Document): ChangeSummary {
  const applications = compare(applicationsOf(before), applicationsOf(after));
  const rules = compare(rulesOf(before), rulesOf(after));
  const reordered = reorderedLists(before, after);
  const segments = compare(byName(before?.segments), byName(after.segments));
  const pools = compare(byName(before?.pools), byName(after.pools));
  const parts = [
    ...said('application', applications),
    ...said('rule', rules),
    ...(reordered.length === 0 ? [] : [`rules reordered in ${reordered.slice(0, 3).join(', ')}`]),
    ...said('segment', segments),
    ...said('pool', pools),
  ];
  const text = before === null ? 'first version' : parts.length === 0 ? 'no change' : parts.join('; ');
  return {
    applications: cut(applications),
    rules: cut(rules),
    reordered: reordered.slice(0, NAMES_MAX),
    segments: cut(segments),
    pools: cut(pools),
    text,
  };
}

/** Whether two documents say the same, variables replaced. */
export function isSameDocument(one: Document, other: Document): boolean {
  return contentOf(one) === contentOf(other);
}

function applicationsOf(document: Document | null): Map<string, string> {
  return new Map((document?.applications ?? []).map(({ rules: _, ...application }) => [application.name, contentOf(application)]));
}

function listsOf(document: Document | null): [string, readonly Rule[]][] {
  if (document === null) return [];
  return [
    ['guardrails', document.guardrails],
    ...document.applications.map((application): [string, readonly Rule[]] => [application.name, application.rules]),
    ['baseline', document.baseline],
  ];
}

function rulesOf(document: Document | null): Map<string, string> {
  return new Map(
    listsOf(document).flatMap(([list, rules]) => rules.map((rule): [string, string] => [`${list}/${rule.name}`, contentOf(rule)])),
  );
}

function reorderedLists(before: Document | null, after: Document): string[] {
  const earlier = new Map(listsOf(before).map(([list, rules]) => [list, rules.map((rule) => rule.name)]));
  return listsOf(after).flatMap(([list, rules]) => {
    const were = earlier.get(list);
    if (were === undefined) return [];
    const names = new Set(rules.map((rule) => rule.name));
    const kept = new Set(were.filter((name) => names.has(name)));
    const now = rules.map((rule) => rule.name).filter((name) => kept.has(name));
    return [...kept].every((name, i) => name === now[i]) ? [] : [list];
  });
}

function byName(list: readonly { readonly name: string }[] | undefined): Map<string, string> {
  return new Map((list ?? []).map((item) => [item.name, contentOf(item)]));
}

/** Where something stands in the text is no part of what it says. */
function contentOf(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (key === 'place' ? undefined : inner));
}

function compare(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): NamedChanges {
  return {
    added: [...after.keys()].filter((name) => !before.has(name)),
    removed: [...before.keys()].filter((name) => !after.has(name)),
    changed: [...after].filter(([name, content]) => before.has(name) && before.get(name) !== content).map(([name]) => name),
  };
}

function cut({ added, removed, changed }: NamedChanges): NamedChanges {
  return { added: added.slice(0, NAMES_MAX), removed: removed.slice(0, NAMES_MAX), changed: changed.slice(0, NAMES_MAX) };
}

function said(what: string, changes: NamedChanges): string[] {
  return (['added', 'removed', 'changed'] as const).flatMap((how) => {
    const names = changes[how];
    if (names.length === 0) return [];
    const shown = names.slice(0, 3).join(', ');
    return [`${names.length === 1 ? what : `${names.length} ${what}s`} ${how}: ${shown}${names.length > 3 ? ', …' : ''}`];
  });
}
