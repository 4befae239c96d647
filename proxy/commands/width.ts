/** How wide what is printed may be, and how texts are made to fit. */

/** Narrower than this nothing can be set out; what a terminal says below it is taken for this. */
const WIDTH_LEAST = 20;
/** Where a terminal does not tell its width, and for prose: longer lines are hard to read. */
export const WIDTH_DEFAULT = 80;

/** Columns of the terminal on standard output; null, which bounds nothing, where it is none: what is piped is for programs. */
export function terminalWidth(wide: boolean | undefined): number | null {
  if (wide || !process.stdout.isTTY) return null;
  return Math.max(WIDTH_LEAST, process.stdout.columns || WIDTH_DEFAULT);
}

/** The text with its middle left out, in exactly `width` characters where it has more. */
export function shortened(text: string, width: number): string {
  if (text.length <= width) return text;
  const kept = Math.max(0, width - 1);
  const head = Math.ceil(kept / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (kept - head))}`;
}

/** The text in lines of at most `width`, broken between words; a longer word is broken as well. At least one line. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length <= width) {
      line += ` ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    for (; word.length > width; word = word.slice(width)) lines.push(word.slice(0, width));
    line = word;
  }
  return line === '' && lines.length > 0 ? lines : [...lines, line];
}

/** Wrapped with all lines but the first set in by `indent`; the first is as it was. Null bounds nothing. */
export function hanging(text: string, width: number | null, indent: number): string[] {
  if (width === null || text.length <= width) return [text];
  const room = Math.max(WIDTH_LEAST, width - indent);
  const [first = '', ...rest] = wrapped(text.slice(indent), room);
  return [text.slice(0, indent) + first, ...rest.map((line) => ' '.repeat(indent) + line)];
}

/** Help as it is printed: paragraphs in lines of 80 columns, or fewer in a narrow terminal. What is set in stays as it is, since it may be typed. */
export function reflowed(help: string): string {
  const width = Math.min(WIDTH_DEFAULT, terminalWidth(false) ?? WIDTH_DEFAULT);
  const paragraphs: string[] = [];
  for (const line of help.split('\n')) {
    const before = paragraphs.at(-1);
    const goesOn = before !== undefined && !/^(?: |$)|[.:]$/.test(before) && !/^(?: |$)/.test(line);
    if (goesOn) paragraphs[paragraphs.length - 1] = `${before} ${line}`;
    else paragraphs.push(line);
  }
  return paragraphs.flatMap((line) => (line.startsWith(' ') ? [line] : wrapped(line, width))).join('\n');
}
