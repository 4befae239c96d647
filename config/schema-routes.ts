/** Routes: which pool an allowed flow goes to, and what becomes of its request on the way. */
import * as z from 'zod';
import { shown } from './problem.ts';
import { fieldName, headers, host, hostPattern, method, pathPattern } from './schema-http.ts';
import { choice, count, name, noted, percentText, prefix, reference, refuse, required } from './schema-leaves.ts';

const WITHOUT = '; without the key, everything matches';

const some = <T extends z.ZodType>(schema: T, example: string, about: string) =>
  noted(z.array(schema).min(1).optional().describe(about), { expects: `a list such as ${example} with at least one entry${WITHOUT}` });

const QUERY_EXPECTS = 'a value such as "2", a beginning such as "beta*", or "*" for any value';
const queryValue = noted(
  z.string().transform((text, context) => {
    if (text !== '' && !text.slice(0, -1).includes('*')) return text;
    return refuse(context, text, { code: 'wrong-value', message: `must be ${QUERY_EXPECTS}` });
  }),
  { expects: QUERY_EXPECTS, type: 'value' },
);

const query = noted(
  z
    .record(
      z.string().min(1),
      noted(z.union([queryValue, noted(z.array(queryValue).min(1), {})]), { expects: `${QUERY_EXPECTS}, or a list of them` }),
    )
    .transform((fields) =>
      Object.entries(fields).map(([key, values]) => ({ name: key, values: typeof values === 'string' ? [values] : values })),
    ),
  { expects: 'a mapping such as { version: "2" }' },
);

const http = z.strictObject({
  methods: some(method, '[GET, HEAD]', 'Methods, upper case as on the wire.'),
  hosts: some(hostPattern, '[shop.example.com]', 'Host names without port; *.example.com stands for every name below example.com.'),
  paths: some(pathPattern, '[/api/*]', 'Paths; "*" at the end stands for any rest.'),
  headers: headers.optional().describe('Fields that must be there: exact values, "*" at the end for any rest, "*" alone for any value.'),
  query: query.optional().describe('Parameters of the query that must be there, by name: values as for headers.'),
});

const tls = z.strictObject({
  sni: some(hostPattern, '[shop.example.com]', 'Names that the client asks for in its TLS hello.'),
  alpn: some(z.string().min(1).max(255), '[h2]', 'Protocols of which the client offers at least one.'),
});

const split = noted(
  z
    .record(reference, count(0, 1_000_000))
    .refine(
      (shares) => Object.values(shares).some((share) => share > 0),
      'Every share is 0, so that no pool gets a flow. Give at least one of them a number above 0.',
    )
    .transform((shares) => Object.entries(shares).map(([pool, weight]) => ({ pool, weight }))),
  { expects: 'pools with their shares such as { web: 90, web-next: 10 }' },
);

const newPath = noted(
  z.string().transform((text, context) => {
    if (/^\/[\u0021-\u007e]*$/.test(text) && !text.slice(0, -1).includes('*') && !/[?#]/.test(text)) return text;
    return refuse(context, text, {
      code: 'wrong-value',
      message: 'must be a path such as /new, or /v2/* where "*" is what "*" stood for in paths:',
    });
  }),
  { expects: 'a path such as /new or /v2/*', type: 'path', example: '/v2/*' },
);

const rewrite = z.strictObject({
  path: newPath.optional().describe('The path that the server gets; "*" at its end is what "*" stood for in paths:. The query stays.'),
  host: host.optional().describe('The host that the server gets.'),
});

const FIELD_VALUE = /^[\u0021-\u007e\u0080-\u00ff](?:[\t\u0020-\u007e\u0080-\u00ff]*[\u0021-\u007e\u0080-\u00ff])?$/;
const fieldText = noted(
  z.string().transform((text, context) => {
    if (FIELD_VALUE.test(text)) return text;
    return refuse(context, text, { code: 'wrong-value', message: 'must be a value without line breaks and without blanks around it' });
  }),
  { expects: 'a value, as text', type: 'value', example: 'blue' },
);

/** Fields that frame or route a message: the proxy's own business. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'trailer']);

const editedName = z.string().transform((text, context) => {
  const known = fieldName.safeParse(text);
  if (known.success && !FRAMING.has(known.data)) return text;
  const instead = text.toLowerCase() === 'host' ? 'Write rewrite: { host: … }' : 'Remove it';
  const message = FIELD_NAME.test(text)
    ? `The proxy writes the field ${shown(text)} itself, so that it cannot be changed here. ${instead}.`
    : `${shown(text)} is no name of a field. Write one such as x-team.`;
  return refuse(context, text, { code: 'wrong-value', message });
});

const fieldTexts = noted(
  z.record(z.string(), fieldText).transform((fields, context) =>
    Object.entries(fields).flatMap(([written, value]) => {
      const known = editedName.safeParse(written);
      if (known.success) return [{ name: written, value }];
      for (const issue of known.error.issues) context.issues.push({ ...issue, input: fields, path: [written] } as z.core.$ZodRawIssue);
      return [];
    }),
  ),
  { expects: 'a mapping such as { x-team: blue }' },
);

const edits = z.strictObject({
  set: fieldTexts.optional().describe('Fields that are there once, with this value, whatever was there before.'),
  add: fieldTexts.optional().describe('Fields that are added to what is there.'),
  remove: noted(z.array(editedName).min(1).optional().describe('Fields that are taken out.'), { expects: 'a list such as [x-powered-by]' }),
});

const STATUSES = [301, 302, 303, 307, 308] as const;
const redirectMapping = z.strictObject({
  scheme: choice(['http', 'https']).optional().describe('Absent: that of the request.'),
  host: host.optional().describe('Absent: that of the request.'),
  port: count(1, 65_535).optional().describe('Absent: the one that belongs to the scheme.'),
  path: newPath.optional().describe('Absent: that of the request, with its query.'),
  status: noted(z.literal(STATUSES).default(308).describe('The status of the answer.'), {
    expects: `one of ${STATUSES.join(', ')}`,
    default: 308,
  }),
});

const redirect = noted(z.union([choice(['https']).transform(() => ({ scheme: 'https', status: 308 }) as const), redirectMapping]), {
  expects: '"https", or a mapping such as { host: www.example.com }',
});

const mirror = z.strictObject({
  pool: required(reference, '-', 'The pool that gets a copy; its answers are thrown away.'),
  share: noted(percentText.optional().describe('Share of requests that are copied.'), { default: '100%' }),
});

export const route = z.strictObject({
  name: required(name, '-', 'Unique in its list.'),
  http: http.optional().describe('What a request must be.'),
  tls: tls.optional().describe('What a TLS client must have said.'),
  pool: reference.optional().describe('The pool that such flows go to; absent: that of the application.'),
  split: split.optional().describe('Pools and the shares that they get, in place of pool:.'),
  redirect: redirect.optional().describe('The client is sent elsewhere: "https", or scheme, host, port and path.'),
  rewrite: rewrite.optional().describe('What the server gets in place of what the client sent; rules see what the client sent.'),
  'request-headers': edits.optional().describe('Fields of the request on its way to the server.'),
  'response-headers': edits.optional().describe('Fields of the response on its way to the client.'),
  mirror: mirror.optional().describe('A copy of the request goes to another pool as well.'),
});

export const routes = noted(
  z.array(route).max(1_000).default([]).describe('In order: the first that matches says which pool an allowed flow goes to; none: pool.'),
  { expects: 'a list of routes, each with a name', default: [] },
);

/** Whose word on forwarded requests counts. */
export const forwarded = z.strictObject({
  trust: noted(z.array(prefix).min(1).describe('Proxies in front of this one: what they say in X-Forwarded-* is believed and passed on.'), {
    expects: 'a list of addresses such as [10.0.0.0/8]',
    standIn: [],
  }),
});
