/**
 * The ratios of a run as a picture: a row for each measure, and in it a mark for each proxy at its cost against the better of HAProxy and
 * nginx, on a logarithmic axis. A line through a mark spans the rounds. Colours follow the reader's preference for light or dark.
 */
import { type Comparison, DIRECT, SUBJECT } from './compare.ts';
import { figure, type Report } from './report.ts';

const WIDTH = 960;
const LEFT = 350;
const RIGHT = 40;
const TOP = 104;
const ROW = 46;
const BOTTOM = 64;
const RATIO_MIN = 0.25;
/** What is dearer than this stands at the edge: it need not squeeze the others. */
const RATIO_MAX = 16;
const TICKS = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 12, 20];

/** Distinct in hue and in shape, so that neither alone has to carry the meaning. */
const MARKS = [
  { shape: 'diamond', light: '#b3261e', dark: '#ff8a80' },
  { shape: 'circle', light: '#1f5fa8', dark: '#82b7f5' },
  { shape: 'square', light: '#2a7a3b', dark: '#86d396' },
  { shape: 'triangle', light: '#8a5a00', dark: '#e8b85a' },
  { shape: 'circle', light: '#6b3fa0', dark: '#c4a3f0' },
  { shape: 'square', light: '#5c6670', dark: '#b4bec8' },
  { shape: 'triangle', light: '#0f7f86', dark: '#6fd3da' },
] as const;

/** A complete SVG document. Measures that compare nothing with HAProxy or nginx are left out. */
export function plot(report: Report): string {
  const shown = report.comparisons.filter((comparison) => comparison.rows.some((row) => row.toBetter !== null && row.value.median > 0));
  const series = seriesOf(shown);
  const dearest = Math.max(2, ...shown.flatMap((comparison) => comparison.rows.map((row) => row.toBetter?.max ?? 0)));
  const ratioMax = Math.min(RATIO_MAX, dearest * 1.1);
  const x = (ratio: number) => {
    const share = Math.log(Math.min(ratioMax, Math.max(RATIO_MIN, ratio)) / RATIO_MIN) / Math.log(ratioMax / RATIO_MIN);
    return round(LEFT + share * (WIDTH - LEFT - RIGHT));
  };
  const bottom = TOP + Math.max(1, shown.length) * ROW;
  const height = bottom + BOTTOM;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">`,
    '<title id="title">Cost of each proxy against the better of HAProxy and nginx</title>',
    `<style>${style()}</style>`,
    `<rect class="page" width="${WIDTH}" height="${height}"/>`,
    '<text class="heading" x="24" y="34">Cost against the better of HAProxy and nginx</text>',
    `<text class="note" x="24" y="54">${escapeXml(caption(report))}</text>`,
    legend(series),
    ...TICKS.filter((tick) => tick <= ratioMax).map(
      (tick) =>
        `<line class="${tick === 1 ? 'even' : 'grid'}" x1="${x(tick)}" x2="${x(tick)}" y1="${TOP}" y2="${bottom}"/>` +
        `<text class="tick" x="${x(tick)}" y="${bottom + 18}">${tick}×</text>`,
    ),
    ...shown.map((comparison, i) => drawRow(comparison, TOP + i * ROW, series, x)),
    `<text class="note" x="${LEFT}" y="${bottom + 44}">Further left is cheaper. The bracket marks the figure that Bulkhead is to reach.</text>`,
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function drawRow(comparison: Comparison, y: number, series: readonly string[], x: (ratio: number) => number): string {
  const { measure, rows, target } = comparison;
  const better = rows.find((row) => row.series === comparison.better);
  const parts = [
    `<line class="grid" x1="24" x2="${WIDTH - RIGHT}" y1="${y + ROW}" y2="${y + ROW}"/>`,
    `<text class="label" x="24" y="${y + 19}">${escapeXml(measure.title)}</text>`,
  ];
  if (better !== undefined)
    parts.push(
      `<text class="note" x="24" y="${y + 36}">1× is ${escapeXml(`${figure(better.value.median)} ${measure.unit} (${better.series})`)}</text>`,
    );
  const bound = target?.bound ?? null;
  if (bound !== null && better !== undefined)
    parts.push(`<path class="target" d="M${x(bound / better.value.median) - 5} ${y + 5}h5v${ROW - 10}h-5"/>`);
  const marked = rows.filter((row) => row.toBetter !== null && row.series !== DIRECT && row.value.median > 0);
  for (const row of marked) {
    const { min, max, median } = row.toBetter!;
    const index = series.indexOf(row.series);
    // Marks of one row are set a little apart, so that equal ones can be told.
    const at = round(y + ROW / 2 + (index - (series.length - 1) / 2) * 5);
    const name = `${row.series}: ${median.toFixed(2)}× (${min.toFixed(2)} … ${max.toFixed(2)})`;
    parts.push(
      `<g class="s${index % MARKS.length}"><title>${escapeXml(name)}</title><line class="span" x1="${x(min)}" x2="${x(max)}" y1="${at}" y2="${at}"/>${mark(index, x(median), at, row.series === SUBJECT ? 6.5 : 4.5)}</g>`,
    );
  }
  return parts.join('\n');
}

/** Bulkhead first, then in the order in which they ran. */
function seriesOf(comparisons: readonly Comparison[]): string[] {
  const names = new Set<string>();
  for (const { rows } of comparisons) for (const row of rows) if (row.series !== DIRECT) names.add(row.series);
  return [SUBJECT, ...[...names].filter((name) => name !== SUBJECT)];
}

function legend(series: readonly string[]): string {
  let left = 24;
  return series
    .map((name, i) => {
      const at = left;
      left += 40 + name.length * 7.5;
      return `<g class="s${i % MARKS.length}">${mark(i, at + 6, 80, name === SUBJECT ? 6.5 : 4.5)}</g><text class="label" x="${at + 18}" y="84.5">${escapeXml(name)}</text>`;
    })
    .join('\n');
}

function mark(index: number, x: number, y: number, size: number): string {
  switch (MARKS[index % MARKS.length]!.shape) {
    case 'circle':
      return `<circle cx="${x}" cy="${y}" r="${size}"/>`;
    case 'square':
      return `<rect x="${x - size}" y="${y - size}" width="${size * 2}" height="${size * 2}"/>`;
    case 'triangle':
      return `<path d="M${x} ${y - size}L${x + size} ${y + size}H${x - size}Z"/>`;
    case 'diamond':
      return `<path d="M${x} ${y - size}L${x + size} ${y}L${x} ${y + size}L${x - size} ${y}Z"/>`;
  }
}

function caption(report: Report): string {
  const { circumstances: c } = report;
  const commit = c.commit.id === null ? 'no commit' : `commit ${c.commit.id}${c.commit.dirty ? ' with changes' : ''}`;
  return `${c.startedAt.slice(0, 10)}, ${commit}, ${c.machine.cpu.replace(/ \(.*/, '')}, Linux ${c.machine.kernel}, Node ${c.machine.node}, ${c.rounds} rounds of ${c.seconds} s`;
}

function style(): string {
  const colours = (mode: 'light' | 'dark') => MARKS.map((m, i) => `.s${i}{fill:${m[mode]};stroke:${m[mode]}}`).join('');
  return [
    'text{font:13px system-ui,sans-serif;fill:#1c1f23}.heading{font-size:18px;font-weight:600}.note{font-size:11.5px;fill:#5a626b}',
    '.tick{font-size:11.5px;fill:#5a626b;text-anchor:middle}.page{fill:#fff}.grid{stroke:#e3e6ea}.even{stroke:#5a626b;stroke-width:1.5}',
    '.target{fill:none;stroke:#b3261e;stroke-width:1.5}.span{stroke-width:2;opacity:.55}',
    colours('light'),
    '@media (prefers-color-scheme:dark){text{fill:#e8eaed}.note,.tick{fill:#a3abb4}.page{fill:#15181c}.grid{stroke:#2b3036}.even{stroke:#a3abb4}.target{stroke:#ff8a80}',
    `${colours('dark')}}`,
  ].join('');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
