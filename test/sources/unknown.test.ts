/** What a file's names come to now, as check, apply and explain say it. */
import { expect, it } from 'vitest';
import type { Address } from '../../config/address.ts';
import { NOTHING_KNOWN } from '../../policy/knowledge.ts';
import { unknownOf } from '../../proxy/sources/unknown.ts';
import { documentOf } from '../node/harness.ts';

const DOCUMENT = documentOf(`
version: 1
pools: { web: { servers: [web.internal:80] } }
applications: { app: { vips: [127.0.0.1:9], mode: tcp, pool: web, rules: [] } }
`);

const ADDRESS: Address = { family: 4, words: [0, 0, 0xffff, 0x7f000002] };

it.each<[string, readonly Address[] | null, string | null, string[]]>([
  ['that has an address', [ADDRESS], null, []],
  ['that fails while its last answer stays', [ADDRESS], 'ETIMEOUT', []],
  ['that does not exist', [], 'ENOTFOUND', ['pool web: web.internal:80 has no address (ENOTFOUND); until it has, the pool does without']],
  ['that never had an answer', null, 'ETIMEOUT', ['pool web: web.internal is not known (ETIMEOUT); until it is, the pool does without']],
  ['that is still waited for', null, null, ['pool web: web.internal is not known (no answer yet); until it is, the pool does without']],
])('a name %s', (_, addresses, fault, said) => {
  const names = new Map(addresses === null ? [] : [['web.internal', addresses]]);
  expect(unknownOf(DOCUMENT, { knowledge: () => ({ ...NOTHING_KNOWN, names }), faultOf: () => fault })).toEqual(said);
});
