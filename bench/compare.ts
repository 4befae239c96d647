/** What the samples of a measure say once they are compared: a row for each series, and the verdict on the target. */
import type { Findings, Measure } from './findings.ts';
import { ratioByRound, type Summary, summarise } from './statistics.ts';
import { TARGETS } from './targets.ts';

/** The proxy that the bench is about, and those whose better one it is held to. */
export const SUBJECT = 'bulkhead';
export const HELD_TO = ['haproxy', 'nginx'];
/** The series without a proxy: an absolute figure among added ones, compared with nothing. */
export const DIRECT = 'direct';

export interface Row {
  readonly series: string;
  readonly value: Summary;
  readonly samples: readonly number[];
  readonly rate: number;
  readonly load: number;
  /** Subject against this series; with a baseline, this series against the baseline. Null where there is nothing to compare. */
  readonly ratio: Summary | null;
  /** This series against the better of HAProxy and nginx; null without these, and with a baseline. */
  readonly toBetter: Summary | null;
}

export interface TargetVerdict {
  readonly most: number;
  /** The bound in the measure's unit; null where that is not known. */
  readonly bound: number | null;
  readonly figure: number | null;
  readonly reached: boolean;
  readonly text: string;
}

export interface Comparison {
  readonly measure: Measure;
  readonly rows: readonly Row[];
  readonly better: string | null;
  readonly target: TargetVerdict | null;
}

export function compareAll(findings: Findings): Comparison[] {
  return findings.measures.map((measure) => compare(findings, measure));
}

export function compare(findings: Findings, measure: Measure): Comparison {
  const all = findings.series(measure.key);
  const better = measure.baseline === null ? betterOf(all) : null;
  const subject = all.get(SUBJECT);
  const rows: Row[] = [];
  for (const [series, samples] of all) {
    const base = all.get(measure.baseline ?? '');
    const comparable = series !== DIRECT;
    let ratio: Summary | null = null;
    if (measure.baseline !== null) ratio = base === undefined || series === measure.baseline ? null : ratioByRound(samples, base);
    else if (comparable && series !== SUBJECT && subject !== undefined) ratio = ratioByRound(subject, samples);
    rows.push({
      series,
      value: summarise(samples.map((sample) => sample.value)),
      samples: samples.map((sample) => sample.value),
      rate: summarise(samples.map((sample) => sample.rate)).median,
      load: summarise(samples.map((sample) => sample.load)).median,
      ratio,
      toBetter: better === null || !comparable ? null : ratioByRound(samples, all.get(better)!),
    });
  }
  return { measure, rows, better, target: verdictOn(measure, rows, better) };
}

/** The one with the lower median. */
function betterOf(all: ReadonlyMap<string, readonly { value: number }[]>): string | null {
  let better: string | null = null;
  let lowest = Number.POSITIVE_INFINITY;
  for (const name of HELD_TO) {
    const samples = all.get(name);
    if (samples === undefined) continue;
    const { median } = summarise(samples.map((sample) => sample.value));
    if (median < lowest) {
      lowest = median;
      better = name;
    }
  }
  return better;
}

function verdictOn(measure: Measure, rows: readonly Row[], better: string | null): TargetVerdict | null {
  const target = TARGETS.find((candidate) => candidate.key === measure.key);
  if (target === undefined) return null;
  const row = (name: string) => rows.find((candidate) => candidate.series === name);
  const median = (name: string | null) => (name === null ? null : (row(name)?.value.median ?? null));
  const said = (figure: number | null, what: string, unit: string, one: number | null): TargetVerdict => {
    const reached = figure !== null && figure <= target.most;
    const measured = figure === null ? 'not measured' : `${figure.toFixed(2)}${unit}, ${reached ? 'reached' : 'NOT reached'}`;
    return {
      most: target.most,
      bound: one === null ? null : target.most * one,
      figure,
      reached,
      text: `${what}: at most ${target.most.toFixed(2)}${unit}: ${measured}`,
    };
  };
  switch (target.kind) {
    case 'ratio-to-better':
      return said(row(SUBJECT)?.toBetter?.median ?? null, `${SUBJECT} against ${better ?? HELD_TO.join(' or ')}`, '×', median(better));
    case 'ratio-to':
      return said(row(target.peer)?.ratio?.median ?? null, `${SUBJECT} against ${target.peer}`, '×', median(target.peer));
    case 'beyond-baseline': {
      const [series, baseline] = [row(target.series)?.samples, row(measure.baseline ?? '')?.samples];
      const beyond = series === undefined || baseline === undefined ? null : medianBeyond(series, baseline);
      return said(beyond, `${target.series} beyond ${measure.baseline}`, ` ${measure.unit}`, null);
    }
    case 'ratio-to-baseline':
      return said(row(target.series)?.ratio?.median ?? null, `${target.series} against ${measure.baseline}`, '×', median(measure.baseline));
    case 'value':
      return said(row(SUBJECT)?.value.median ?? null, SUBJECT, ` ${measure.unit}`, 1);
    default:
      return target satisfies never;
  }
}

/** Of what each round's sample is above that round's baseline; null where no round has both. */
function medianBeyond(series: readonly number[], baseline: readonly number[]): number | null {
  const rounds = Math.min(series.length, baseline.length);
  if (rounds === 0) return null;
  return summarise(Array.from({ length: rounds }, (_, i) => series[i]! - baseline[i]!)).median;
}
