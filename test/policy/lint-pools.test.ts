import { expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { lint } from '../../policy/lint.ts';

function found(pools: string, application = '', more = ''): string[] {
  const text = `
version: 1
networks: { outbound: [127.0.0.0/8] }
${more}
pools: { ${pools} }
applications: { app: { vips: [127.0.0.1:6380], mode: http, pool: a, ${application} rules: [{ name: all, action: allow }] } }
`;
  const loaded = parseDocument([{ file: 'a.yaml', text }], {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return lint(loaded.document).flatMap(({ code, path, severity }) =>
    code === 'pool-without-health' || code === 'token-keys-in-clear' || code === 'silence-unused' ? [`${severity} ${code} ${path}`] : [],
  );
}

const CHECKED = 'a: { servers: [127.0.0.1:1], health: { type: tcp } }';
const jwt = (keys: string) => `jwt: [{ issuer: i, audiences: [a], keys: "${keys}" }],`;
const UNCHECKED = 'warning pool-without-health /pools/a';
const CLEAR = 'warning token-keys-in-clear /applications/app/jwt/0/keys';

it.each<[string, string[], string[]]>([
  ['a pool whose servers nothing checks', ['a: { servers: [127.0.0.1:1] }'], [UNCHECKED]],
  ['one with servers by name', ['a: { servers: [web.internal:80] }'], [UNCHECKED]],
  ['not one that is checked', [CHECKED], []],
  ['not one without servers', ['a: { servers: [] }'], []],
  ['not one that takes no flows', [`${CHECKED}, members: { servers: [127.0.0.1:2] }`], []],
  [
    'one that a route leads to',
    [`${CHECKED}, b: { servers: [127.0.0.1:2] }`, 'routes: [{ name: b, http: { paths: [/b/*] }, pool: b }],'],
    ['warning pool-without-health /pools/b'],
  ],
  ['not one that gets copies', [`${CHECKED}, b: { servers: [127.0.0.1:2] }`, 'routes: [{ name: b, mirror: { pool: b } }],'], []],
  [
    'not one about which somebody knows',
    ['a: { servers: [127.0.0.1:1] }', '', 'silence: [{ code: pool-without-health, reason: known }]'],
    [],
  ],
  ['keys that come in the clear', [CHECKED, jwt('http://login.example/keys')], [CLEAR]],
  ['keys in the clear from an address', [CHECKED, jwt('HTTP://10.0.0.1:8080/keys')], [CLEAR]],
  ['a name that only begins like loopback', [CHECKED, jwt('http://localhost.example/keys')], [CLEAR]],
  ['not keys over TLS', [CHECKED, jwt('https://login.example/keys')], []],
  ['not keys of this machine', [CHECKED, jwt('http://127.0.0.1:81/keys')], []],
  ['nor by its name', [CHECKED, jwt('http://localhost/keys')], []],
  ['nor by IPv6', [CHECKED, jwt('http://[::1]:81/keys')], []],
  ['not keys of a file', [CHECKED, jwt('./keys.json')], []],
])('finds %s', (_, [pools, application, more], expected) => {
  expect(found(pools!, application, more)).toEqual(expected);
});
