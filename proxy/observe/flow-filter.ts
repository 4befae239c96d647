/** Which flows somebody asks for: read from words, and held against records. */
import { type Address, formatAddress, formatHostPort, parseAddress, parsePrefix, prefixContains } from '../../config/address.ts';
import { parseEndpoint } from '../../config/endpoint.ts';
import { parseDuration } from '../../config/quantity.ts';
import { parseTimestamp } from '../../config/schema-when.ts';
import { type FlowFilter, type FlowRecord, type FlowSource, type FlowVerdict, VERDICTS } from './view.ts';

/** The words of a filter, in the order in which they are told. */
export const FILTER_WORDS = ['application', 'source', 'rule', 'verdict', 'since', 'until'] as const;
export type FilterWords = { readonly [Word in (typeof FILTER_WORDS)[number]]?: string | undefined };

/** The filter, or one sentence that says which word is wrong. `now` in milliseconds since the epoch: durations count back from it. */
export function readFilter(words: FilterWords, now: number): FlowFilter | string {
  const { application, rule, verdict } = words;
  const source = words.source === undefined ? undefined : parseSource(words.source);
  if (source === null)
    return `source ${JSON.stringify(words.source)} is not an address, one with a port, or a prefix such as 198.51.100.0/24.`;
  if (verdict !== undefined && !isVerdict(verdict)) return `verdict ${JSON.stringify(verdict)} is not one of ${VERDICTS.join(', ')}.`;
  const [since, until] = (['since', 'until'] as const).map((word) =>
    words[word] === undefined ? undefined : parseMoment(words[word], now),
  );
  for (const [word, moment] of [['since', since] as const, ['until', until] as const])
    if (moment === null)
      return `${word} ${JSON.stringify(words[word])} is not a moment such as 2026-12-31T18:00:00Z, or how long ago, such as 15m.`;
  if (since != null && until != null && since >= until) return 'since has to be before until.';
  return {
    ...(application === undefined ? {} : { application }),
    ...(rule === undefined ? {} : { rule }),
    ...(verdict === undefined ? {} : { verdict }),
    ...(source === undefined ? {} : { source }),
    ...(since == null ? {} : { since }),
    ...(until == null ? {} : { until }),
  };
}

/** null: neither an address nor a prefix. */
export function parseSource(text: string): FlowSource | null {
  if (text === 'unix') return { kind: 'text', text };
  const address = parseAddress(text);
  if (address !== null) return { kind: 'address', address };
  const prefix = text.includes('/') ? parsePrefix(text) : null;
  if (prefix !== null) return { kind: 'prefix', prefix };
  const reading = parseEndpoint(text, 0);
  if (!reading.ok || reading.endpoint.kind !== 'tcp') return null;
  return { kind: 'text', text: formatHostPort(reading.endpoint.address, reading.endpoint.port) };
}

/** hot for a search of the journal: whether a record is asked for. */
export function flowMatcher(filter: FlowFilter): (record: FlowRecord) => boolean {
  const { application, rule, source } = filter;
  const verdict = filter.verdict === 'none' ? null : filter.verdict;
  // Records have their time in one form, in which texts sort as moments do.
  const since = filter.since === undefined ? '' : new Date(filter.since).toISOString();
  const until = filter.until === undefined ? null : new Date(filter.until).toISOString();
  return (record) =>
    (application === undefined || record.application === application) &&
    (rule === undefined || record.rule === rule) &&
    (verdict === undefined || record.verdict === verdict) &&
    record.time >= since &&
    (until === null || record.time < until) &&
    (source === undefined || isFrom(record.source, source));
}

/**
 * Bytes that the line of every matching record holds, as workers write them: JSON without spaces, in which quotes inside a text are escaped, so that
 * traffic cannot forge a field.
 */
export function needlesOf({ application, rule, verdict, source }: FlowFilter): Buffer[] {
  const field = (name: string, value: string | null | undefined) =>
    value === undefined ? [] : [Buffer.from(`"${name}":${JSON.stringify(value)}`)];
  return [
    ...field('verdict', verdict === 'none' ? null : verdict),
    ...field('rule', rule),
    ...field('application', application),
    ...(source?.kind === 'address' ? [Buffer.from(`"source":"${beforePort(source.address)}`)] : []),
    ...(source?.kind === 'text' ? field('source', source.text) : []),
  ];
}

/** `source` as records have it: an address and its port. */
export function isFrom(source: string, wanted: FlowSource): boolean {
  if (wanted.kind === 'text') return source === wanted.text;
  const address = parseAddress(source.replace(/^\[(.*)\]:[0-9]+$|:[0-9]+$/, '$1'));
  if (address === null) return false;
  const prefix = wanted.kind === 'prefix' ? wanted.prefix : parsePrefix(formatAddress(wanted.address))!;
  return prefixContains(prefix, address);
}

function beforePort(address: Address): string {
  return formatHostPort(address, 0).replace(/0$/, '');
}

function parseMoment(text: string, now: number): number | null {
  const ago = parseDuration(text);
  return ago === null ? parseTimestamp(text) : now - ago;
}

function isVerdict(text: string): text is FlowVerdict {
  return (VERDICTS as readonly string[]).includes(text);
}
