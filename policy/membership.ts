/**
 * Who a source is, asked apart from what it may: for rules that count by segment. The question is put to the same function that decides
 * everything else: each source of `from` is made an application of its own, which allows nobody but its members.
 */
import type { Application, Document, SourceTerm } from '../config/document.ts';
import { PLAIN_RULE } from '../config/document.ts';

/** The document to compile. Source number i is asked at VIP number i; null where nothing is asked. */
export function membershipDocument(document: Document, sources: readonly SourceTerm[]): Document | null {
  const [model] = document.applications;
  if (model === undefined || sources.length === 0) return null;
  const { place } = model;
  const applications = sources.map((source, index): Application => {
    const { proxyProtocol: _, tls: __, ...plain } = model;
    const text = `unix:/source/${index}`;
    return {
      ...plain,
      name: `source ${index}`,
      vips: [{ endpoint: { kind: 'unix', path: `/source/${index}`, text }, place }],
      mode: 'tcp',
      routes: [],
      enforcement: 'enforce',
      rules: [{ ...PLAIN_RULE, name: 'member', action: 'allow', from: [source], except: [], place }],
    };
  });
  const { networks } = document;
  return { ...document, networks: { ...networks, cluster: [] }, guardrails: [], baseline: [], applications, tests: [] };
}

/** A source of `from`, as one text: equal for equal sources. */
export function sourceText(source: SourceTerm): string {
  switch (source.kind) {
    case 'any':
      return 'any';
    case 'prefix':
      return source.prefix.text;
    case 'segment':
    case 'pool':
      return `${source.kind} ${source.name}`;
    default:
      return source satisfies never;
  }
}
