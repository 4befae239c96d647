/** What rules and tests say about requests. */
import * as z from 'zod';
import { PATH_CHARACTERS_MAX } from './limits.ts';
import { shown } from './problem.ts';
import { noted, refuse } from './schema-leaves.ts';

/** RFC 9110 §9.1 and §5.6.2: a method is a token, and case matters. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$/;
const KNOWN_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

/** A host name without port (RFC 1123 §2.1, with "_" as found in practice), or an IP literal. */
const HOST = /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
const IPV6_HOST = /^\[[0-9a-f:.]{2,45}\]$/;

/** Visible ASCII, as a request target holds it (RFC 3986 §3.3); everything else is percent-encoded on the wire. */
const PATH_CHARACTERS = /^(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*$/;

export const method = noted(
  z.string().transform((text, context) => {
    if (!TOKEN.test(text)) return refuse(context, text, { code: 'wrong-value', message: 'must be a method such as GET or POST' });
    const upper = text.toUpperCase();
    if (upper === text || !KNOWN_METHODS.includes(upper)) return text;
    return refuse(context, text, {
      code: 'wrong-value',
      message: `must be in the case of the wire, where methods are case-sensitive (${upper})`,
      suggestion: upper,
    });
  }),
  { expects: 'a method such as GET or POST', type: 'method', example: 'GET' },
);

/** RFC 9110 §5.1: a field name is a token. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/;
/** RFC 9110 §5.5: visible characters, with single blanks inside. */
const FIELD_VALUE = /^[\u0021-\u007e](?:[\u0020-\u007e]*[\u0021-\u007e])?$/;
/** Fields that the proxy answers for itself: a server sees the proxy's own, or none. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

export const fieldName = noted(
  z.string().transform((text, context) => {
    const name = text.toLowerCase().replaceAll('_', '-');
    if (!FIELD_NAME.test(text))
      return refuse(context, text, { code: 'wrong-value', message: 'must be the name of a field such as x-team' });
    if (name === 'host')
      return refuse(context, text, { code: 'wrong-value', message: 'The field host is matched by hosts:. Write it there.' });
    if (OWN_FIELDS.has(name)) {
      const message = `What a client says in ${name} never reaches a server, so that no rule can ask for it. Remove it.`;
      return refuse(context, text, { code: 'wrong-value', message });
    }
    return name;
  }),
  { expects: 'the name of a field such as x-team', type: 'name of a field' },
);

const VALUE_EXPECTS = 'a value such as blue, a beginning such as "curl/*", or "*" for any value';
const fieldPattern = noted(
  z.string().transform((text, context) => {
    if (FIELD_VALUE.test(text) && !text.slice(0, -1).includes('*')) return text;
    return refuse(context, text, { code: 'wrong-value', message: `must be ${VALUE_EXPECTS}` });
  }),
  { expects: VALUE_EXPECTS, type: 'value' },
);

/** Name to value, or to several of which one must be there. */
export const headers = noted(
  z
    .record(
      z.string(),
      noted(z.union([fieldPattern, noted(z.array(fieldPattern).min(1), {})]), { expects: `${VALUE_EXPECTS}, or a list of them` }),
    )
    .transform((fields, context) => {
      const entries = Object.entries(fields);
      if (entries.length === 0) return refuse(context, fields, { code: 'out-of-range', message: 'must name at least one field' });
      return entries.flatMap(([written, values]) => {
        const name = fieldName.safeParse(written);
        if (name.success) return [{ name: name.data, values: typeof values === 'string' ? [values] : values }];
        for (const issue of name.error.issues) context.issues.push({ ...issue, input: fields, path: [written] } as z.core.$ZodRawIssue);
        return [];
      });
    }),
  { expects: 'a mapping such as { x-team: blue, user-agent: "curl/*" }' },
);

/** Fields of one request, for tests. */
export const requestHeaders = noted(
  z
    .record(z.string().regex(FIELD_NAME), z.string().regex(/^[\u0020-\u007e]*$/))
    .transform((fields) =>
      Object.entries(fields).map(([name, value]): [string, string] => [name.toLowerCase().replaceAll('_', '-'), value.trim()]),
    ),
  { expects: 'a mapping such as { x-team: blue }' },
);

export const hostPattern = hostSchema(true);
export const host = hostSchema(false);

function hostSchema(mayBePattern: boolean) {
  const example = mayBePattern ? 'a host name such as shop.example.com or *.example.com' : 'a host name such as shop.example.com';
  const schema = z.string().transform((written, context) => {
    const text = written.toLowerCase().replace(/\.$/, '');
    if (text.length <= 253 && (HOST.test(text) || IPV6_HOST.test(text)) && (mayBePattern || !text.startsWith('*'))) return text;
    const bare = text
      .replace(/^[a-z]+:\/\//, '')
      .replace(/[/?#].*$/, '')
      .replace(/:[0-9]*$/, '');
    const suggestion = HOST.test(bare) && bare !== text ? { suggestion: bare } : {};
    return refuse(context, written, { code: 'wrong-value', message: `must be ${example}, without scheme, port and path`, ...suggestion });
  });
  return noted(schema, {
    expects: example,
    type: mayBePattern ? 'host name or `*.` and a name' : 'host name',
    example: 'shop.example.com',
  });
}

/** A name to look up: an address there would be no name. */
export const dnsName = noted(
  z.string().transform((written, context) => {
    const text = written.toLowerCase().replace(/\.$/, '');
    if (text.length <= 253 && HOST.test(text) && !text.startsWith('*') && !/^[0-9.]+$/.test(text)) return text;
    return refuse(context, written, {
      code: 'wrong-value',
      message: 'must be a host name such as partner.example.com, without scheme, port and path',
    });
  }),
  { expects: 'a host name such as partner.example.com', type: 'host name' },
);

export const pathPattern = noted(pathSchema(true), {
  expects: 'a path such as /admin/* or /healthz (text that begins with "/")',
  type: 'path',
  example: '/admin/*',
});

export const path = noted(pathSchema(false), { expects: 'a path such as /admin/x (text that begins with "/")', type: 'path' });

function pathSchema(pattern: boolean) {
  return z.string().transform((text, context) => {
    const fault = pathFault(text, pattern);
    if (fault === null) return text;
    return refuse(context, text, { code: 'wrong-value', ...((pattern ? adviseExpression(text) : null) ?? fault) });
  });
}

/** What only a regular expression begins, ends or holds; asked of texts that are no path as they stand. */
const EXPRESSION = /^[~^]|[$|]$|\\|\(\?|\.\*.|[[\]{}]/;

function adviseExpression(text: string): { message: string; suggestion?: string } | null {
  if (!EXPRESSION.test(text)) return null;
  const plain = text
    .replace(/^~\*? *|^\^|\$$/g, '')
    .replace(/^\^/, '')
    .replace(/\\([./-])/g, '$1')
    .replace(/\(?\.\*\)?$/, '*');
  const message = `${shown(text)} reads as a regular expression. Write a path; "*" at its end stands for any rest.`;
  return pathFault(plain, true) === null && !EXPRESSION.test(plain) ? { message, suggestion: plain } : { message };
}

/** A pattern is compared with the normalised path, so one that is not normalised itself would silently never match. */
function pathFault(text: string, pattern: boolean): { message: string; suggestion?: string } | null {
  if (text.length > PATH_CHARACTERS_MAX) return { message: `must be a path of at most ${PATH_CHARACTERS_MAX} characters` };
  if (pattern && text === '*') return null;
  if (!text.startsWith('/')) {
    const rooted = `/${text}`;
    return { message: 'must begin with "/"', ...(pathFault(rooted, pattern) === null ? { suggestion: rooted } : {}) };
  }
  if (!pattern)
    return /[\u0000-\u0020\u007f]/.test(text)
      ? { message: 'must be a path without spaces and control characters; encode them as %20 and the like' }
      : null;
  if (/[?#]/.test(text))
    return { message: 'must be a path alone: rules do not see what follows "?" or "#"', suggestion: text.replace(/[?#].*$/, '') };
  if (!PATH_CHARACTERS.test(text))
    return { message: 'must hold only characters that a request target can hold; encode the others as %20 and the like' };
  if (text.slice(0, -1).includes('*')) return { message: 'may hold "*" only at its end, where it stands for any rest' };
  if (/\/\/|\/\.\.?(?:\/|$)/.test(text)) {
    return { message: 'must be written as requests are normalised, without "//", "/./" and "/../"; as it stands it would never match' };
  }
  return null;
}
