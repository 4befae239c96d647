/** The report of a run: a table for people, and the same as JSON. */
import { type Comparison, compareAll, DIRECT } from './compare.ts';
import type { Failure, Findings } from './findings.ts';
import type { Commit, Machine } from './machine.ts';
import type { Summary } from './statistics.ts';

const REASON_LINES_MAX = 6;
/** Above this the figures are of a machine that does something else as well. */
const DISTURBED_SHARE = 0.05;

export interface Circumstances {
  readonly startedAt: string;
  readonly durationSeconds: number;
  readonly command: string;
  readonly machine: Machine;
  readonly commit: Commit;
  readonly rounds: number;
  readonly seconds: number;
  /** Whether the proxy had a core to itself, with load and backends on another. */
  readonly coresApart: boolean;
  /** Share of all cores (0 to 1) that went to processes which are no part of the run. */
  readonly othersShare: number;
  readonly peers: readonly { readonly name: string; readonly version: string; readonly logging: string; readonly settings: string }[];
  /** Version and role of what else took part. */
  readonly tools: readonly string[];
}

export interface Report {
  readonly circumstances: Circumstances;
  readonly comparisons: readonly Comparison[];
  readonly notes: readonly string[];
  readonly failures: readonly Failure[];
}

export function makeReport(circumstances: Circumstances, findings: Findings): Report {
  return { circumstances, comparisons: compareAll(findings), notes: findings.notes, failures: findings.failures };
}

/** Text of at most about 110 columns, ending in a newline. */
export function formatReport(report: Report): string {
  const { circumstances: c } = report;
  const commit = c.commit.id === null ? 'no commit' : `${c.commit.id}${c.commit.dirty ? ' with changes' : ''}`;
  const lines = [
    `${c.startedAt}  ${Math.round(c.durationSeconds)} s  commit ${commit}`,
    `${c.machine.cpu}, ${c.machine.cores} cores, Linux ${c.machine.kernel}, Node ${c.machine.node}`,
    c.coresApart ? 'proxy on core 0; load generator and backends on core 1' : 'one core only: proxy, load generator and backends share it',
    `other processes had ${Math.round(c.othersShare * 100)} % of the machine${c.othersShare > DISTURBED_SHARE ? ': too much to trust more than the ratios, and these not far' : ''}`,
    `${c.rounds} rounds of ${c.seconds} s, interleaved; figures are medians with (lowest … highest); CPU of all threads and children of the proxy`,
    ...c.peers.map((peer) => `  ${peer.name} ${peer.version}: ${peer.settings}; logging: ${peer.logging}`),
    `  ${c.tools.join('; ')}`,
  ];
  for (const comparison of report.comparisons) lines.push('', ...formatComparison(comparison));
  if (report.notes.length > 0) lines.push('', 'Notes', ...report.notes.map((note) => `  ${note}`));
  if (report.failures.length > 0) {
    lines.push('', 'FAILED', ...report.failures.map(({ measure, peer, reason }) => `  ${peer} (${measure}): ${shortened(reason)}`));
  }
  return `${lines.join('\n')}\n`;
}

function formatComparison({ measure, rows, better, target }: Comparison): string[] {
  const header = ['', measure.unit, 'spread', measure.rateUnit ?? '', 'core', measure.baseline === null ? 'bulkhead is' : 'of the first'];
  if (better !== null) header.push(`of ${better}`);
  const cells = rows.map((row) => {
    const line = [
      row.series === DIRECT ? `${DIRECT} (whole)` : row.series,
      figure(row.value.median),
      `${figure(row.value.min)} … ${figure(row.value.max)}`,
      row.rate === 0 ? '' : Math.round(row.rate).toLocaleString('en'),
      row.load === 0 ? '' : `${Math.round(row.load * 100)} %`,
      ratio(row.ratio),
    ];
    if (better !== null) line.push(row.series === better ? '1' : ratio(row.toBetter));
    return line;
  });
  const lines = [`${measure.title}  (${measure.how})`, ...table([header, ...cells])];
  if (rows.length === 0) lines.push('  no figures');
  if (target !== null) lines.push(`  ${target.text}`);
  return lines;
}

/** Enough of a reason to know where to look; the JSON has the whole. */
function shortened(reason: string): string {
  const lines = reason.split('\n').filter((line) => line.trim() !== '');
  return [...lines.slice(0, REASON_LINES_MAX), ...(lines.length > REASON_LINES_MAX ? ['…'] : [])].join('\n    ');
}

/** The first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`.trimEnd(),
  );
}

/** Three significant digits. */
export function figure(value: number): string {
  const magnitude = Math.abs(value);
  return magnitude >= 100
    ? Math.round(value).toLocaleString('en')
    : magnitude >= 10
      ? value.toFixed(1)
      : magnitude >= 1
        ? value.toFixed(2)
        : value.toFixed(3);
}

function ratio(summary: Summary | null): string {
  return summary === null ? '' : `${summary.median.toFixed(2)}× (${summary.min.toFixed(2)} … ${summary.max.toFixed(2)})`;
}
