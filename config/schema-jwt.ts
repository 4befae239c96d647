/** Tokens by which clients of an application show who they are. */
import * as z from 'zod';
import { TOKEN_CLOCK_SKEW_MS_DEFAULT } from './defaults.ts';
import { TOKEN_ALGORITHM_WORDS } from './elsewhere.ts';
import { TOKEN_ALGORITHMS } from './jwt.ts';
import { fieldName } from './schema-http.ts';
import { choice, duration, noted, refuse, required } from './schema-leaves.ts';

const KEYS_EXPECTS = 'an address such as https://login.example.com/keys, or a file such as ./keys.json';
const keys = noted(
  z.string().transform((text, context) => {
    const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? URL.parse(text) : null;
    const wrongUrl = /:\/\//.test(text) && (url === null || !/^https?:$/.test(url.protocol) || url.username !== '');
    if (text === '' || wrongUrl) return refuse(context, text, { code: 'wrong-value', message: `must be ${KEYS_EXPECTS}` });
    return text;
  }),
  { expects: KEYS_EXPECTS, type: 'https:// address or path of a file', example: 'https://login.example.com/keys' },
);

const words = (about: string, example: string) =>
  noted(z.array(z.string().min(1).max(256)).min(1).describe(about), { expects: `a list such as ${example}`, standIn: ['-'] });

const carrier = noted(
  z
    .union([
      z.strictObject({ header: fieldName.describe('The field that holds the token; "Bearer" may stand before it.') }),
      z.strictObject({
        cookie: z
          .string()
          .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/)
          .describe('The cookie that is the token.'),
      }),
    ])
    .transform((shape) =>
      'header' in shape ? ({ kind: 'header', name: shape.header } as const) : ({ kind: 'cookie', name: shape.cookie } as const),
    ),
  { expects: '{ header: x-token } or { cookie: session }' },
);

export const jwt = noted(
  z
    .array(
      z.strictObject({
        issuer: required(z.string().min(1).max(2_048), '-', 'What the token says as its issuer (iss).'),
        audiences: words('For whom the token must be: one of these (aud).', '[shop]'),
        keys: required(keys, '-', 'Where the public keys of the issuer come from (JWKS): an address, or a file.'),
        from: noted(carrier.optional().describe('What brings the token; absent: Authorization, as a bearer token.'), {
          default: { header: 'authorization' },
        }),
        algorithms: noted(
          z.array(choice(TOKEN_ALGORITHMS, TOKEN_ALGORITHM_WORDS)).min(1).optional().describe('Signatures that are accepted.'),
          {
            expects: 'a list such as [RS256, ES256]',
            default: [...TOKEN_ALGORITHMS],
          },
        ),
        'clock-skew': duration('How far the clocks of issuer and proxy may be apart.', TOKEN_CLOCK_SKEW_MS_DEFAULT),
        claims: noted(z.array(z.string().min(1).max(64)).max(16).default([]).describe('Claims that become identities: claim:NAME=VALUE.'), {
          expects: 'a list such as [groups]',
          default: [],
        }),
      }),
    )
    .max(16)
    .default([])
    .describe('Tokens by which requests show who sends them: identities jwt:SUBJECT, jwt-issuer:…, jwt-audience:…, claim:NAME=VALUE.'),
  { expects: 'a list of issuers, each with issuer, audiences and keys', default: [] },
);
