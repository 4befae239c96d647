/** Columns for people: as wide as what stands in them, numbers to the right; in a terminal no wider than that. */
import { shortened, wrapped } from './width.ts';

const GAP = '  ';
/** A column of prose narrower than this is put under its row instead. */
const PROSE_LEAST = 40;
/** Prose that is no longer than this needs no lines of its own: it is kept, and other columns give way. */
const REMARK_MOST = 24;
const UNDER = '    ';

/** A column, and how it gives way where there is no room for all. A title alone is a column that never does. */
export interface Column {
  /** Set to the right where it begins with `>`, which is not printed. */
  readonly title: string;
  /** Texts may be shortened in the middle, down to so many characters. */
  readonly least?: number;
  /** How wide it should be, if need be at the cost of columns that leave and have no such width. */
  readonly good?: number;
  /** When it is left out, 1 first; absent: it stays. */
  readonly leaves?: number;
  /** The same in fewer characters, where there is no room for all columns as they are. */
  readonly brief?: (text: string) => string;
  /** Prose, in the last column: it goes on in further lines, under its row where the column would be too narrow. */
  readonly prose?: true;
}

type Row = readonly string[];

/** Rows of cells. `width` null: nothing gives way. */
export function table(titles: readonly (string | Column)[], rows: readonly Row[], width: number | null = null): string[] {
  return new Layout(titles, rows, width).lines(rows, true);
}

/** What stands where, from a first look at the rows; later ones are set out alike. */
export class Layout {
  readonly #columns: readonly Column[];
  /** Indices of the columns that are shown, with the width of each. */
  #shown: { readonly index: number; readonly width: number }[];
  readonly #brief: boolean;
  /** The column of prose that goes under its row. */
  readonly #under: number | null;
  readonly #width: number | null;

  constructor(titles: readonly (string | Column)[], rows: readonly Row[], width: number | null) {
    this.#columns = titles.map((title) => (typeof title === 'string' ? { title } : title));
    this.#width = width;
    const natural = this.#natural(rows, false);
    const all = natural.map((_, index) => index);
    const fits = (indices: readonly number[], widths: readonly number[]) => width === null || total(indices, widths) <= width;
    this.#brief = !fits(all, natural);
    this.#shown = all.map((index) => ({ index, width: natural[index]! }));
    this.#under = null;
    if (width === null || !this.#brief) return;

    const wide = this.#natural(rows, true);
    const prose = this.#columns.findIndex((column, index) => column.prose && wide[index]! > REMARK_MOST);
    const whole = wide.map((most, index) => (index === prose ? Math.min(most, PROSE_LEAST) : most));
    if (prose >= 0 && !fits(all, whole)) this.#under = prose;
    const least = wide.map((most, index) => Math.min(most, index === prose ? PROSE_LEAST : this.#leastOf(index, most)));
    const good = least.map((few, index) => Math.max(few, Math.min(wide[index]!, this.#columns[index]!.good ?? 0)));
    let kept = all.filter((index) => index !== this.#under);
    const leave = (widths: readonly number[], mayLeave: (column: Column) => boolean) => {
      while (!fits(kept, widths)) {
        const next = kept.filter((index) => this.#columns[index]!.leaves !== undefined && mayLeave(this.#columns[index]!));
        if (next.length === 0) return;
        const first = next.reduce((a, b) => (this.#columns[b]!.leaves! < this.#columns[a]!.leaves! ? b : a));
        kept = kept.filter((index) => index !== first);
      }
    };
    leave(good, (column) => column.good === undefined);
    leave(least, () => true);
    // What is left of the room goes to those that were shortened, the narrowest first.
    for (let room = width - total(kept, least); room > 0; room--) {
      const short = kept.filter((index) => least[index]! < wide[index]!).sort((a, b) => least[a]! - least[b]!)[0];
      if (short === undefined) break;
      least[short]!++;
    }
    this.#shown = kept.map((index) => ({ index, width: least[index]! }));
  }

  /** The lines of rows, with the titles above them. */
  lines(rows: readonly Row[], titled = false): string[] {
    const head = this.#columns.map(({ title }) => title.replace(/^>/, ''));
    return [...(titled ? this.#set(head, true) : []), ...rows.flatMap((row) => this.#set(row.map(printable), false))];
  }

  #set(cells: Row, isHead: boolean): string[] {
    const parts = this.#shown.map(({ index, width }) => {
      const { title, brief, prose, least } = this.#columns[index]!;
      const cell = cells[index] ?? '';
      const text = this.#brief && brief !== undefined && !isHead ? brief(cell) : cell;
      // What never gives way is whole, also where a later row has more of it than the first had: half a receipt is none.
      const lines = this.#width === null ? [text] : prose ? wrapped(text, width) : [least === undefined ? text : shortened(text, width)];
      return lines.map((line) => (title.startsWith('>') ? line.padStart(width) : line.padEnd(width)));
    });
    const [last = []] = parts.slice(-1);
    const first = parts.map((lines) => lines[0] ?? '').join(GAP);
    const indent = ' '.repeat(first.length - (last[0] ?? '').length);
    const under = this.#under === null || isHead ? '' : (cells[this.#under] ?? '');
    const below = under === '' ? [] : wrapped(under, Math.max(PROSE_LEAST, this.#width! - UNDER.length)).map((line) => UNDER + line);
    return [first, ...last.slice(1).map((line) => indent + line), ...below].map((line) => line.trimEnd());
  }

  #leastOf(index: number, most: number): number {
    const { least, title } = this.#columns[index]!;
    return least === undefined ? most : Math.max(least, title.length);
  }

  #natural(rows: readonly Row[], brief: boolean): number[] {
    return this.#columns.map(({ title, brief: shorter }, index) => {
      const said = brief && shorter !== undefined ? shorter : (text: string) => text;
      return rows.reduce((most, row) => Math.max(most, said(printable(row[index] ?? '')).length), title.replace(/^>/, '').length);
    });
  }
}

function total(indices: readonly number[], widths: readonly number[]): number {
  return indices.reduce((sum, index) => sum + widths[index]!, Math.max(0, indices.length - 1) * GAP.length);
}

/** What came from traffic may hold bytes that would move a terminal's cursor. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, '?');
}

/** `1.2 MiB`, `830 B`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A count or a rate in few characters. */
export function numberText(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

/** `3d 4h`, `2m 5s`. */
export function secondsText(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ');
}
