/** YAML's own complaints, with what to do about them. */
import type { YAMLParseError, YAMLWarning } from 'yaml';
import type { Problem } from './document.ts';
import type { SourceText } from './origins.ts';

/** What usually lies behind each of the parser's codes. */
const REMEDIES: Readonly<Record<string, string>> = {
  ALIAS_PROPS: 'Remove the anchor or tag before the alias.',
  BAD_ALIAS: 'An alias is * and a name; put the value in quotes if it is meant as text.',
  BAD_DIRECTIVE: 'Remove the line that begins with %.',
  BAD_DQ_ESCAPE: 'Write \\\\ for a backslash, or use single quotes.',
  BAD_INDENT: 'Indent the keys of one mapping by the same number of spaces.',
  BAD_PROP_ORDER: 'Write the anchor before the value that it names.',
  BAD_SCALAR_START: 'Put the value in quotes.',
  BLOCK_AS_IMPLICIT_KEY: 'Put a value that contains ": " in quotes, or begin a new line for the inner key.',
  BLOCK_IN_FLOW: 'Inside [ ] and { } separate entries by commas.',
  MISSING_CHAR: 'Close the quote, or add the missing comma, colon or space.',
  MULTIPLE_ANCHORS: 'Keep one anchor.',
  MULTIPLE_DOCS: 'Remove the line ---, or put the second document into a file of its own.',
  MULTIPLE_TAGS: 'Remove the tags.',
  MULTILINE_IMPLICIT_KEY: 'A key stands on one line, followed by a colon and a space.',
  TAB_AS_INDENT: 'Indent with spaces.',
  TAG_RESOLVE_FAILED: 'Remove the tag that begins with !.',
};

/** An address in brackets or a variable in braces reads as a list or mapping unless it is in quotes. */
const BRACKETED_ADDRESS = /\[[0-9a-fA-F]*:[0-9a-fA-F:.]*\]:[0-9]/;
const BRACED_VARIABLE = /[[{,].*\$\{/;

/** The first complaint of each line: the ones after it follow from it. */
export function explainSyntax(source: SourceText, text: string, faults: readonly (YAMLParseError | YAMLWarning)[]): Problem[] {
  const lines = new Set<number>();
  const problems: Problem[] = [];
  for (const fault of faults) {
    const place = source.place(fault.pos[0]);
    if (lines.has(place.line)) continue;
    lines.add(place.line);
    if (/call stack/.test(fault.message)) {
      const message =
        'Values are nested too deep to be read. No part of the file needs that: look for a bracket or an indentation too many.';
      return [{ code: 'too-deep', severity: 'error', path: '', place, message }];
    }
    problems.push({
      code: 'yaml-syntax',
      severity: 'error',
      path: '',
      place,
      message: `${sentence(fault.message)} ${remedy(text, fault)}`,
    });
  }
  return problems;
}

function remedy(text: string, fault: YAMLParseError | YAMLWarning): string {
  const start = text.lastIndexOf('\n', fault.pos[0] - 1) + 1;
  const end = text.indexOf('\n', start);
  const line = text.slice(start, Math.min(end < 0 ? text.length : end, start + 1_000));
  if (BRACKETED_ADDRESS.test(line)) return 'Put an address with brackets in quotes: "[::1]:80".';
  if (BRACED_VARIABLE.test(line))
    return `Inside [ ] and { } put a value with a variable in quotes: "\${NAME}"; or write the key on a line of its own.`;
  return REMEDIES[fault.code] ?? 'Check indentation, quotes and brackets here and in the line above.';
}

function sentence(message: string): string {
  // The parser's own words name the call that would read such a file.
  if (/multiple documents/.test(message)) return 'A second document begins here, and a file holds one.';
  return /[.!?]$/.test(message) ? message : `${message}.`;
}
