/**
 * Proxies in front of an application say in the PROXY protocol whose flows they bring. Who looks at packets sees the proxies' addresses, and
 * cannot tell; so these are kept out, and so is everybody where nobody else may come.
 */
import type { Application } from '../config/document.ts';
import type { AddressRange } from './space/cover.ts';
import { prefixRange } from './space/cover.ts';

/** What is left of the sources of an application. */
export function withoutProxies({ proxyProtocol }: Application, sources: readonly AddressRange[]): readonly AddressRange[] {
  if (proxyProtocol === undefined) return sources;
  if (proxyProtocol.required) return [];
  return proxyProtocol.from.reduce<readonly AddressRange[]>((left, prefix) => without(left, prefixRange(prefix)), sources);
}

/** In a sentence; null where there are no proxies. */
export function proxiesLeftOut({ name, proxyProtocol }: Application): string | null {
  if (proxyProtocol === undefined) return null;
  const rest = proxyProtocol.required
    ? 'everybody is kept out, since nobody else may come.'
    : 'the proxies are kept out, and with them whoever comes by them.';
  return `Application "${name}" learns from PROXY headers who a flow is from, which packets do not tell: ${rest}`;
}

function without(ranges: readonly AddressRange[], { family, first, last }: AddressRange): AddressRange[] {
  return ranges.flatMap((range) => {
    if (range.family !== family || range.last < first || last < range.first) return [range];
    return [
      ...(range.first < first ? [{ ...range, last: first - 1n }] : []),
      ...(last < range.last ? [{ ...range, first: last + 1n }] : []),
    ];
  });
}
