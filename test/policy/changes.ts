/** Random changes to documents: such as people make, and such as change nothing. */
import { parsePrefix } from '../../config/address.ts';
import type { Document, Rule } from '../../config/document.ts';
import { PROTOCOLS } from '../../config/protocols.ts';
import type { Random } from './randomDocument.ts';

type List = 'guardrails' | 'baseline' | number;

/** One to three changes of what a document says. */
export function changed(document: Document, random: Random): Document {
  let next = document;
  for (let i = random(3); i >= 0; i--) next = change(next, random);
  return next;
}

function change(document: Document, random: Random): Document {
  switch (random(9)) {
    case 0:
      return changeSegments(document, random);
    case 1: {
      const applications = document.applications.filter((_, i) => i > 0 || document.applications.length === 1);
      return random(3) === 0 ? { ...document, applications } : changeVips(document, random);
    }
    case 2:
      return { ...document, networks: { ...document.networks, cluster: random(2) === 0 ? [] : [parsePrefix('10.1.2.0/30')!] } };
    default:
      return changeRules(document, random);
  }
}

function changeSegments(document: Document, random: Random): Document {
  const at = random(Math.max(1, document.segments.length));
  const extra = parsePrefix(['10.1.2.0/25', '10.1.2.3', '2001:db8::/64', '0.0.0.0/0'][random(4)]!)!;
  const segments = document.segments.map((segment, i) => {
    if (i !== at) return segment;
    if (random(3) === 0) return { ...segment, except: [] };
    if (random(4) === 0) return { ...segment, identities: segment.identities.length > 0 ? [] : ['cn:ana'] };
    return { ...segment, addresses: random(2) === 0 ? segment.addresses.slice(1) : [...segment.addresses, extra] };
  });
  return { ...document, segments };
}

function changeVips(document: Document, random: Random): Document {
  const at = random(document.applications.length);
  const applications = document.applications.map((application, i) => {
    if (i !== at) return application;
    return random(4) === 0 ? { ...application, mode: 'tcp' as const } : { ...application, vips: application.vips.slice(random(2)) };
  });
  return { ...document, applications };
}

function changeRules(document: Document, random: Random): Document {
  const list = listOf(document, random);
  return withList(document, list, (rules) => {
    if (rules.length === 0) return rules;
    const at = random(rules.length);
    const rule = rules[at]!;
    const put = (other: Partial<Rule>) => rules.map((one, i) => (i === at ? { ...one, ...other } : one));
    switch (random(9)) {
      case 0:
        return rules.filter((_, i) => i !== at);
      case 1:
        return put({ action: rule.action === 'allow' ? 'deny' : 'allow' });
      case 2:
        // A rule that speaks of a database is for its protocol alone.
        return rule.database !== null ? put({ database: null }) : put({ protocols: random(3) === 0 ? null : 1 << random(6) });
      case 3:
        return put({ except: rule.except.length > 0 ? [] : [{ kind: 'prefix', prefix: parsePrefix('10.1.2.4')! }] });
      case 4:
        return put({ ports: random(2) === 0 ? null : [[80, 443]] });
      case 5:
        return put({ http: rule.http === null ? null : { ...rule.http, paths: random(2) === 0 ? null : ['/api/*', '/'] } });
      case 6:
        return put({ identities: rule.identities === null ? ['cn:*'] : random(2) === 0 ? null : [...rule.identities, 'user:*'] });
      case 7:
        return put({
          tls: rule.tls === null ? { sni: ['*.example'], alpn: null, ja4: null } : random(2) === 0 ? null : { ...rule.tls, alpn: ['h2'] },
        });
      default:
        return [...rules.slice(0, at), ...rules.slice(at + 1), rule];
    }
  });
}

/** A change of the text that leaves every verdict as it is. */
export function rewritten(document: Document, random: Random): Document {
  switch (random(4)) {
    case 0:
      // The same rule once more, behind itself, under another name.
      return withList(document, listOf(document, random), (rules) =>
        rules.flatMap((rule, i) => (i === 0 ? [rule, { ...rule, name: 'again' }] : [rule])),
      );
    case 1: {
      // A prefix in two halves.
      const halves = (text: string) =>
        (text === '10.1.2.0/24' ? ['10.1.2.0/25', '10.1.2.128/25'] : [text]).map((half) => parsePrefix(half)!);
      return {
        ...document,
        segments: document.segments.map((segment) => ({
          ...segment,
          addresses: segment.addresses.flatMap(({ text }) => halves(text)).reverse(),
        })),
      };
    }
    case 2:
      // Every protocol by name.
      return withList(document, listOf(document, random), (rules) =>
        rules.map((rule) => (rule.protocols === null ? { ...rule, protocols: 2 ** PROTOCOLS.length - 1 } : rule)),
      );
    default: {
      const segments = document.segments.map((segment) => ({
        ...segment,
        name: `new-${segment.name}`,
        segments: segment.segments.map((name) => `new-${name}`),
        except: segment.except.map(renamed),
      }));
      const rules = (list: readonly Rule[]) =>
        list.map((rule) => ({ ...rule, name: `new-${rule.name}`, from: rule.from.map(renamed), except: rule.except.map(renamed) }));
      return {
        ...document,
        segments,
        guardrails: rules(document.guardrails),
        baseline: rules(document.baseline),
        applications: document.applications.map((application) => ({
          ...application,
          name: `new-${application.name}`,
          rules: rules(application.rules),
        })),
      };
    }
  }
}

function renamed(term: Rule['from'][number]): Rule['from'][number] {
  return term.kind === 'segment' ? { ...term, name: `new-${term.name}` } : term;
}

function listOf(document: Document, random: Random): List {
  const which = random(document.applications.length + 2);
  return which < document.applications.length ? which : which === document.applications.length ? 'guardrails' : 'baseline';
}

function withList(document: Document, list: List, edit: (rules: readonly Rule[]) => readonly Rule[]): Document {
  if (typeof list !== 'number') return { ...document, [list]: edit(document[list]) };
  const applications = document.applications.map((application, i) =>
    i === list ? { ...application, rules: edit(application.rules) } : application,
  );
  return { ...document, applications };
}
