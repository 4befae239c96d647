/**
 * What comparing two policies and checking one cost against the number of prefixes, rules and applications. `--json` prints the figures
 * as JSON, `--quick` leaves the largest scenes out.
 */
import type { Document, Rule } from '../../config/document.ts';
import { diffDocuments } from '../../policy/diff.ts';
import { lint } from '../../policy/lint.ts';
import { type Size, sceneOf } from './scenes.ts';

interface Figures {
  readonly scene: string;
  readonly prefixes: number;
  readonly rules: number;
  readonly applications: number;
  /** Against itself, against a few changed rules, against a change everywhere, and against other segments. */
  readonly sameMs: number;
  readonly fewMs: number;
  readonly everyMs: number;
  readonly segmentsMs: number;
  readonly groups: readonly number[];
  readonly checkMs: number;
}

const SCENES: readonly (readonly [string, Size])[] = [
  ...[100, 1_000, 10_000].map((rules): [string, Size] => ['rules by source', { prefixes: 100_000, rules, applications: 1 }]),
  ...[100, 1_000, 10_000].map((rules): [string, Size] => ['rules by path', { prefixes: 1_000, rules, applications: 1, http: true }]),
  ...[1_000, 10_000, 100_000].map((prefixes): [string, Size] => ['prefixes', { prefixes, rules: 1_000, applications: 100 }]),
  ['whole', { prefixes: 100_000, rules: 10_000, applications: 1_000, guardrails: 50 }],
  ['one segment', { prefixes: 100_000, rules: 10_000, applications: 1_000, segments: 1 }],
];

function milliseconds(run: () => void): number {
  const start = performance.now();
  run();
  return Math.round(performance.now() - start);
}

function withRules(document: Document, edit: (rule: Rule, index: number) => Rule): Document {
  let index = 0;
  const applications = document.applications.map((application) => ({
    ...application,
    rules: application.rules.map((rule) => edit(rule, index++)),
  }));
  return { ...document, applications };
}

function flipped(rule: Rule): Rule {
  return { ...rule, action: rule.action === 'allow' ? 'deny' : 'allow' };
}

function measure(scene: string, size: Size): Figures {
  const old = sceneOf(size);
  const few = withRules(old, (rule, i) => (i % 1_000 === 7 ? flipped(rule) : rule));
  const every = withRules(old, (rule, i) => (i % 10 === 7 ? flipped(rule) : rule));
  const segments = { ...old, segments: old.segments.map((segment) => ({ ...segment, addresses: segment.addresses.slice(1) })) };
  const groups: number[] = [];
  const diffMs = (next: Document) =>
    milliseconds(() => {
      groups.push(diffDocuments(old, next).groups.length);
    });
  return {
    scene,
    prefixes: size.prefixes,
    rules: size.rules,
    applications: size.applications,
    sameMs: diffMs(sceneOf(size)),
    fewMs: diffMs(few),
    everyMs: diffMs(every),
    segmentsMs: diffMs(segments),
    groups,
    checkMs: milliseconds(() => void lint(old)),
  };
}

const scenes = process.argv.includes('--quick') ? SCENES.filter(([, { prefixes, rules }]) => prefixes * rules <= 100_000_000) : SCENES;
const figures = scenes.map(([scene, size]) => measure(scene, size));
if (process.argv.includes('--json')) console.log(JSON.stringify({ figures }, null, 2));
else console.table(figures.map(({ groups, ...rest }) => ({ ...rest, groups: groups.join(' ') })));
