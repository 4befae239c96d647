/** What rules, segments and tests say about TLS and about who a client has proved to be. */
import * as z from 'zod';
import { foldIdentity, IDENTITY_KINDS, identityKind } from './identity.ts';
import { shown } from './problem.ts';
import { host, hostPattern } from './schema-http.ts';
import { noted, refuse } from './schema-leaves.ts';

const WITHOUT = '; without the key, everything matches';

/** RFC 7301 §3.1: at most 255 bytes; all that are registered are visible ASCII. */
const alpnName = noted(z.string().regex(/^[\u0021-\u007e]{1,255}$/), {
  expects: 'the name of a protocol such as h2 or http/1.1',
  type: 'name of a protocol',
  example: 'h2',
});

const JA4_EXPECTS = 'a fingerprint such as t13d1516h2_8daaf6152771_02713d6af862, or a beginning such as "t13d*"';
const ja4Pattern = noted(z.string().regex(/^(?:[tqd][0-9a-z_]{0,63}\*?|\*)$/), {
  expects: JA4_EXPECTS,
  type: 'JA4 fingerprint',
  example: '"t13d*"',
});
const ja4 = noted(z.string().regex(/^[tqd][0-9a-z_]{0,63}$/), {
  expects: 'a fingerprint such as t13d1516h2_8daaf6152771_02713d6af862',
  type: 'JA4 fingerprint',
});

export const tls = noted(
  z
    .strictObject({
      sni: noted(
        z
          .array(hostPattern)
          .min(1)
          .optional()
          .describe('Server names that the client asks for; *.example.com stands for every name below example.com.'),
        { expects: `a list such as [shop.example.com] with at least one entry${WITHOUT}` },
      ),
      alpn: noted(z.array(alpnName).min(1).optional().describe('Protocols of which the client offers at least one (ALPN).'), {
        expects: `a list such as [h2, http/1.1] with at least one entry${WITHOUT}`,
      }),
      ja4: noted(
        z
          .array(ja4Pattern)
          .min(1)
          .optional()
          .describe('JA4 fingerprints of the ClientHello; "*" at the end stands for any rest, "*" alone for any TLS.'),
        { expects: `a list such as ["t13d*"] with at least one entry${WITHOUT}` },
      ),
    })
    .refine((shape) => Object.keys(shape).length > 0, {
      error: 'must name at least one of sni, alpn and ja4; for any TLS write ja4: ["*"]',
    }),
  { expects: 'a mapping such as { sni: [shop.example.com] }' },
);

const IDENTITY_CHARACTERS = /^[^\u0000-\u001f\u007f]{1,512}$/;
const IDENTITY_EXPECTS = 'an identity such as spiffe://example.org/web or cn:ana';

function identitySchema(mayBePattern: boolean) {
  const schema = z.string().transform((text, context) => {
    if (mayBePattern && text === '*') return text;
    if (!IDENTITY_CHARACTERS.test(text)) return refuse(context, text, { code: 'wrong-value', message: `must be ${IDENTITY_EXPECTS}` });
    if (identityKind(text) === null) {
      const kinds = IDENTITY_KINDS.join(', ');
      return refuse(context, text, { code: 'wrong-value', message: `must begin with its kind, one of ${kinds}` });
    }
    if (text.startsWith('claim:') && !text.includes('=') && !(mayBePattern && text.endsWith('*')))
      return refuse(context, text, { code: 'wrong-value', message: 'must name a claim and its value, such as claim:groups=admins' });
    if (mayBePattern && text.slice(0, -1).includes('*')) {
      const message = /^(?:dns|email):/.test(text)
        ? `"*" may stand only at the end of ${shown(text)}, for any rest. There is no pattern for all names below a domain: write each of them.`
        : 'may hold "*" only at its end, where it stands for any rest';
      return refuse(context, text, { code: 'wrong-value', message });
    }
    return foldIdentity(text);
  });
  return noted(schema, {
    type: 'identity',
    example: 'cn:ana',
    expects: mayBePattern ? `${IDENTITY_EXPECTS}, with "*" at its end for any rest, or "*" for any` : IDENTITY_EXPECTS,
  });
}

const identityPattern = identitySchema(true);

export const identityPatterns = noted(z.array(identityPattern).min(1).max(1_024), {
  expects: 'a list such as ["spiffe://example.org/*", "cn:ana"] with at least one entry',
});

/** The fields of a flow, for tests. */
export const connectionFields = {
  sni: host.optional().describe('The server name that the client asks for (TLS).'),
  alpn: noted(
    z
      .union([alpnName.transform((name) => [name]), noted(z.array(alpnName), {})])
      .optional()
      .describe('The protocols that the client offers (ALPN).'),
    { expects: 'the name of a protocol such as h2, or a list of them' },
  ),
  ja4: ja4.optional().describe('The JA4 fingerprint of the ClientHello.'),
  identities: noted(z.array(identitySchema(false)).max(1_024).optional().describe('Who the client has proved to be; [] is nobody.'), {
    expects: 'a list such as ["cn:ana"]',
  }),
};
