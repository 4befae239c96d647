/** Rules that ask what a client says in TLS, who it is, and what it wants of a database: verdicts, and answers about them. */
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../config/address.ts';
import { parseDocument } from '../../config/load.ts';
import type { DatabaseMatch } from '../../config/match.ts';
import { protocolBit } from '../../config/protocols.ts';
import { compile } from '../../policy/compile.ts';
import { type ConnectionFacts, NO_TLS, PLAIN_CONNECTION, UNKNOWN_CONNECTION } from '../../policy/connection.ts';
import { ALLOW, DENY, decide, kindOf, NEED_IDENTITY, NEED_PROTOCOL, NEED_REQUEST, NEED_TLS, ruleOf } from '../../policy/decide.ts';
import { diffDocuments } from '../../policy/diff.ts';
import { describeDifference } from '../../policy/diff-text.ts';
import { explain } from '../../policy/explain.ts';
import { exportable } from '../../policy/export.ts';
import { attachImage, type Image } from '../../policy/image.ts';
import { lint } from '../../policy/lint.ts';
import { atomOf } from '../../policy/lookup.ts';
import { normalised } from '../../policy/print.ts';
import { rehearse } from '../../policy/rehearse.ts';
import { questionOfFlow, replay } from '../../policy/replay.ts';
import type { RequestFacts } from '../../policy/request.ts';
import { type DocumentWords, documentOf, question, type RuleWords } from './documents.ts';

const KINDS = {
  [ALLOW]: 'allow',
  [DENY]: 'deny',
  [NEED_TLS]: 'need tls',
  [NEED_PROTOCOL]: 'need protocol',
  [NEED_IDENTITY]: 'need identity',
  [NEED_REQUEST]: 'need request',
};
const hello = (sni: string | null, alpn: string[] = [], ja4 = 't13d_x'): ConnectionFacts['tls'] => ({ sni, alpn, ja4 });
const known = (tls: ConnectionFacts['tls'], ...identities: string[]): ConnectionFacts => ({ tls, identities });
const one = (...rules: RuleWords[]): DocumentWords => ({ applications: { a: { rules } } });
const VIP = '10.0.0.1:80';

function answer(image: Image, from: string, protocol: string | null, request: RequestFacts | null, connection: ConnectionFacts): string {
  const decision = decide(
    image,
    0,
    atomOf(image, ...parseAddress(from)!.words),
    protocol === null ? 0 : protocolBit(protocol)!,
    request,
    connection,
  );
  const kind = kindOf(decision);
  return kind === ALLOW || kind === DENY ? `${KINDS[kind]} ${image.ruleName(ruleOf(decision))}` : KINDS[kind];
}

describe('what a ClientHello says', () => {
  const image = compile(
    documentOf(
      one(
        { name: 'shop', tls: { sni: ['*.shop.example', 'shop.example'] }, action: 'allow' },
        { name: 'old', tls: { ja4: ['t10*'] }, action: 'deny' },
        { name: 'h2', tls: { alpn: ['h2'] }, action: 'allow' },
      ),
    ),
  );
  it.each<[string, ConnectionFacts, string]>([
    ['nothing yet', UNKNOWN_CONNECTION, 'need tls'],
    ['no TLS', PLAIN_CONNECTION, 'deny default'],
    ['a name below', known(hello('a.shop.example')), 'allow shop'],
    ['the name', known(hello('shop.example')), 'allow shop'],
    ['another name', known(hello('myshop.example')), 'deny default'],
    ['no name', known(hello(null, ['http/1.1', 'h2'])), 'allow h2'],
    ['an old client', known(hello(null, ['h2'], 't10d_a')), 'deny old'],
    ['an old client that asks for the shop', known(hello('shop.example', [], 't10d_a')), 'allow shop'],
  ])('%s: %s', (_, connection, expected) => {
    expect(answer(image, '10.0.0.1', 'tls', null, connection)).toBe(expected);
  });
});

describe('who a client is', () => {
  const image = compile(
    documentOf({
      segments: {
        admins: { addresses: ['10.1.0.0/16'], identities: ['spiffe://x/admin/*', 'cn:root'] },
        staff: { segments: ['admins'], addresses: ['10.2.0.0/16'], except: ['banned'] },
        banned: { identities: ['cn:mallory'] },
      },
      applications: {
        a: {
          rules: [
            { name: 'staff', from: ['staff'], ports: [[80, 80]], action: 'allow' },
            { name: 'web', from: ['any'], except: ['admins'], identities: ['cn:web', 'jwt:*'], action: 'allow' },
          ],
        },
      },
    }),
  );
  it.each<[string, string[] | null, string]>([
    ['10.1.0.1', null, 'need identity'],
    ['10.1.0.1', [], 'allow staff'],
    ['10.1.0.1', ['cn:mallory'], 'deny default'],
    ['10.2.0.1', ['cn:ana'], 'allow staff'],
    ['192.0.2.1', null, 'need identity'],
    ['192.0.2.1', [], 'deny default'],
    ['192.0.2.1', ['cn:root'], 'allow staff'],
    ['192.0.2.1', ['cn:ana', 'spiffe://x/admin/ana'], 'allow staff'],
    ['192.0.2.1', ['spiffe://x/admin'], 'deny default'],
    ['192.0.2.1', ['cn:root', 'cn:mallory'], 'deny default'],
    ['192.0.2.1', ['cn:web'], 'allow web'],
    ['192.0.2.1', ['cn:website'], 'deny default'],
    ['192.0.2.1', ['jwt:ana', 'cn:root', 'cn:mallory'], 'deny default'],
    ['10.1.0.1', ['jwt:ana', 'cn:mallory'], 'deny default'],
  ])('%s as %j: %s', (from, identities, expected) => {
    expect(answer(image, from, null, null, { tls: NO_TLS, identities })).toBe(expected);
  });

  it('is asked only where somebody asks', () => {
    const asks = ({ asksForTls, asksForJa4, asksForIdentities, asksForDatabases }: Image) => [
      asksForTls,
      asksForJa4,
      asksForIdentities,
      asksForDatabases,
    ];
    expect(asks(image)).toEqual([false, false, true, false]);
    expect(asks(compile(documentOf(one({ action: 'allow' }))))).toEqual([false, false, false, false]);
    expect(asks(compile(documentOf(one({ tls: { sni: ['a'] }, action: 'allow' }))))).toEqual([true, false, false, false]);
    expect(asks(compile(documentOf(one({ tls: { ja4: ['*'] }, action: 'allow' }))))).toEqual([true, true, false, false]);
    const database: DatabaseMatch = { kind: 'mysql', users: ['a'], schemas: null };
    expect(asks(attachImage(compile(documentOf(one({ database, action: 'allow' }))).buffer))).toEqual([false, false, false, true]);
  });
});

describe('what is wanted of a database', () => {
  const rules = (...list: [DatabaseMatch, 'allow' | 'deny'][]) =>
    compile(documentOf(one(...list.map(([database, action], i) => ({ name: `${action}${i}`, database, action })))));
  const pg = (user: string | null, database: string | null): RequestFacts => ({ kind: 'postgres', user, database });
  const my = (user: string | null, schema: string | null): RequestFacts => ({ kind: 'mysql', user, schema });
  const red = (command: string | null, keys: string[] | null, user = 'default'): RequestFacts => ({ kind: 'redis', user, command, keys });
  const postgres = rules(
    [{ kind: 'postgres', users: ['root*'], databases: null }, 'deny'],
    [{ kind: 'postgres', users: null, databases: ['shop', 'shop_*'] }, 'allow'],
  );
  const mysql = rules([{ kind: 'mysql', users: ['app'], schemas: ['shop'] }, 'allow']);
  const redis = rules(
    [{ kind: 'redis', users: null, commands: ['flushall', 'config'], keys: null }, 'deny'],
    [{ kind: 'redis', users: null, commands: null, keys: ['secret:*'] }, 'deny'],
    [{ kind: 'redis', users: ['default'], commands: ['get', 'mget'], keys: ['app:*'] }, 'allow'],
    [{ kind: 'redis', users: ['ops'], commands: ['*'], keys: null }, 'allow'],
  );
  it.each<[string, Image, string | null, RequestFacts | null, string]>([
    ['the protocol is not known', postgres, null, null, 'need protocol'],
    ['it is another protocol', postgres, 'mysql', null, 'deny default'],
    ['nothing was said yet', postgres, 'postgres', null, 'need request'],
    ['the database', postgres, 'postgres', pg('ana', 'shop'), 'allow allow1'],
    ['a database that begins so', postgres, 'postgres', pg('ana', 'shop_2'), 'allow allow1'],
    ['a database in other case', postgres, 'postgres', pg('ana', 'Shop'), 'deny default'],
    ['the user', postgres, 'postgres', pg('rooter', 'shop'), 'deny deny0'],
    ['a user that cannot be told', postgres, 'postgres', pg(null, 'shop'), 'deny deny0'],
    ['a database that cannot be told', postgres, 'postgres', pg('ana', null), 'deny default'],
    ['no schema', mysql, 'mysql', my('app', ''), 'deny default'],
    ['the schema', mysql, 'mysql', my('app', 'shop'), 'allow allow0'],
    ['keys of its own', redis, 'redis', red('mget', ['app:1', 'app:2']), 'allow allow2'],
    ['one key of others', redis, 'redis', red('mget', ['app:1', 'x']), 'deny default'],
    ['one key that is denied', redis, 'redis', red('mget', ['app:1', 'secret:1'], 'ops'), 'deny deny1'],
    ['no keys', redis, 'redis', red('get', []), 'deny default'],
    ['keys that cannot be told', redis, 'redis', red('get', null, 'ops'), 'deny deny1'],
    ['a subcommand of what is denied', redis, 'redis', red('config|set', [], 'ops'), 'deny deny0'],
    ['any other command', redis, 'redis', red('ping', [], 'ops'), 'allow allow3'],
  ])('%s', (_, image, protocol, request, expected) => {
    expect(answer(image, '10.0.0.1', protocol, request, PLAIN_CONNECTION)).toBe(expected);
  });
});

it('keeps what becomes of open flows with its rule', () => {
  const image = compile(
    documentOf(one({ name: 'x', action: 'allow', onRevoke: { kind: 'drain', withinMs: 5_000 } }, { name: 'y', action: 'deny' })),
  );
  expect([1, 2].map((rule) => image.ruleOnRevoke(rule))).toEqual([{ kind: 'drain', withinMs: 5_000 }, null]);
});

const policy = documentOf({
  segments: { admins: { addresses: ['10.1.0.0/16'], identities: ['cn:root'] } },
  applications: {
    a: {
      rules: [
        { name: 'admins', from: ['admins'], action: 'allow' },
        { name: 'shop', tls: { sni: ['shop.example'] }, identities: ['cn:ana'], action: 'allow' },
        { name: 'db', from: ['10.3.0.0/16'], database: { kind: 'postgres', users: ['app'], databases: ['shop'] }, action: 'allow' },
      ],
    },
  },
});

describe('an explanation', () => {
  const image = compile(policy);
  const whys = (more: Parameters<typeof question>[2]) => explain(image, question('192.0.2.1', VIP, more)).considered.map(({ why }) => why);
  it('says why not', () => {
    expect(whys({ identities: ['cn:bob'], sni: 'x.example' })).toEqual([
      'The source is not in the cluster lane.',
      'The source is not in admins, neither by its address nor as cn:bob.',
      'It is for server name shop.example, and this has server name x.example.',
      'The source is not in 10.3.0.0/16.',
    ]);
    expect(whys({ identities: [], sni: 'shop.example' })[2]).toBe('It is for cn:ana, and this is nobody.');
    const asked = question('10.3.0.1', VIP, { protocol: 'postgres', user: 'app', database: 'x', identities: [] });
    expect(explain(image, asked).considered[3]!.why).toBe('It is for user app and database shop, and this is user app and database x.');
  });

  it.each<[string, Parameters<typeof question>[2], string | undefined]>([
    ['what the client says in TLS', {}, 'tls'],
    ['who the client is', { sni: 'shop.example' }, 'identities'],
    ['nothing more', { sni: 'shop.example', identities: [] }, undefined],
  ])('says that it depends on %s', (_, more, needs) => {
    expect(explain(image, question('192.0.2.1', VIP, more)).needs).toBe(needs);
  });

  it.each<[string, Parameters<typeof question>[2], string, string]>([
    ['192.0.2.1', { identities: [], sni: 'shop.example' }, 'shop', 'identity cn:ana'],
    ['192.0.2.1', { identities: ['cn:ana'] }, 'shop', 'a ClientHello that has server name shop.example'],
    ['10.3.0.1', { protocol: 'postgres', user: 'app', database: 'x', identities: [] }, 'db', 'user app and database shop'],
    ['192.0.2.1', { identities: [], sni: 'x.example' }, 'admins', 'identity cn:root'],
  ])('names the nearest rule for %s with %j: %s', (from, more, rule, change) => {
    // Of rules that are as near the first is named, so the one for admins stands last.
    const [admins, ...others] = policy.applications[0]!.rules;
    const last = { ...policy, applications: [{ ...policy.applications[0]!, rules: [...others, admins!] }] };
    expect(explain(compile(last), question(from, VIP, more)).nearest).toMatchObject({ rule, change });
  });

  it('names a rule for which several facts have to change', () => {
    const only = compile(
      documentOf(
        one({
          name: 'db',
          from: ['10.3.0.0/16'],
          database: { kind: 'redis', users: null, commands: ['get'], keys: ['a:*'] },
          action: 'allow',
        }),
      ),
    );
    expect(explain(only, question('192.0.2.1', VIP, { protocol: 'http' })).nearest).toMatchObject({
      rule: 'db',
      change: expect.stringMatching(/a source in 10\.3\.0\.0\/16 and protocol redis instead of http and .*command get and key a:/),
    });
  });
});

describe('a difference', () => {
  const changed = (...rules: RuleWords[]) =>
    diffDocuments(documentOf(one({ name: 'x', action: 'allow', from: ['10.9.9.9'] })), documentOf(one(...rules)));
  it.each<[string, RuleWords[], RegExp, object]>([
    ['server name', [{ tls: { sni: ['*.a.example'] }, action: 'allow' }], /while {5}server name \*\.a\.example/, { sni: 'x.a.example' }],
    ['ALPN', [{ tls: { alpn: ['h2'] }, action: 'allow' }], /while {5}ALPN h2/, { alpn: ['h2'] }],
    ['JA4', [{ tls: { ja4: ['t13*'] }, action: 'allow' }], /JA4 t13\*/, { ja4: 't13x' }],
    ['identity', [{ identities: ['cn:a*'], action: 'allow' }], /identity cn:a\*/, { identities: ['cn:ax'] }],
    [
      'identity, one of two',
      [
        { identities: ['cn:ana'], action: 'deny' },
        { identities: ['cn:*'], action: 'allow' },
      ],
      /identity cn:\* and not identity cn:ana/,
      { identities: ['cn:x'] },
    ],
    [
      'user',
      [{ database: { kind: 'mysql', users: ['ana'], schemas: null }, action: 'allow' }],
      /speaking {2}mysql\n {2}while {5}mysql user ana/,
      { user: 'ana' },
    ],
    [
      'keys',
      [{ database: { kind: 'redis', users: null, commands: ['get'], keys: ['a:*'] }, action: 'allow' }],
      /redis command get or get\|\* and redis keys all a:\*/,
      { command: 'get', keys: expect.arrayContaining([expect.stringMatching(/^a:/)]) },
    ],
  ])('of %s is told with a witness', (_, rules, text, witness) => {
    const difference = changed({ name: 'x', action: 'allow', from: ['10.9.9.9'] }, ...rules);
    expect(difference.groups).toMatchObject([{ change: 'gain', witness }]);
    expect(describeDifference(difference).join('\n')).toMatch(text);
  });

  it('is none where only the order of patterns is another, or of rules that say the same', () => {
    const rules: RuleWords[] = [
      { name: 'p', identities: ['cn:a', 'cn:b'], action: 'allow' },
      { name: 'q', tls: { sni: ['a.example'] }, action: 'allow' },
    ];
    const other: RuleWords[] = [{ ...rules[1]! }, { ...rules[0]!, identities: ['cn:b', 'cn:a'] }];
    expect(diffDocuments(documentOf(one(...rules)), documentOf(one(...other)))).toMatchObject({ differs: false, groups: [] });
  });

  it('is one of treatment where only on-revoke is another', () => {
    const rule: RuleWords = { name: 'x', action: 'allow', from: ['10.9.9.9'], onRevoke: { kind: 'finish' } };
    expect(changed(rule)).toMatchObject({ groups: [{ change: 'treatment' }] });
  });

  it('follows a segment whose identities change', () => {
    const words = (identities: string[]): DocumentWords => ({
      segments: { s: { addresses: ['10.1.0.0/16'], identities } },
      ...one({ from: ['s'], action: 'allow' }),
    });
    const { groups } = diffDocuments(documentOf(words(['cn:a'])), documentOf(words(['cn:a', 'cn:b'])));
    expect(groups).toMatchObject([{ change: 'gain', witness: { identities: ['cn:b'] } }]);
  });
});

describe('findings', () => {
  const found = (words: DocumentWords) =>
    lint(documentOf(words)).map(({ code, path, witness }) => `${code} ${path}${witness === undefined ? '' : ' shown'}`);
  const at = (i: number) => `/applications/a/rules/${i}`;
  const database = (keys: string[]): DatabaseMatch => ({ kind: 'redis', users: null, commands: null, keys });
  it.each<[string, RuleWords[], string[]]>([
    [
      'a rule for one of the identities that a rule before has all of',
      [
        { from: ['10.0.0.0/8'], identities: ['cn:*'], action: 'deny' },
        { from: ['10.0.0.0/8'], identities: ['cn:ana'], action: 'allow' },
        { from: ['10.0.0.0/8'], action: 'allow' },
      ],
      [`rule-shadowed ${at(1)} shown`],
    ],
    [
      'a server name below one that is taken',
      [
        { from: ['10.0.0.0/8'], tls: { sni: ['*.example'] }, action: 'allow' },
        { from: ['10.0.0.0/8'], tls: { sni: ['a.b.example'] }, action: 'deny' },
      ],
      [`rule-shadowed ${at(1)} shown`],
    ],
    [
      'what the rule behind says as well',
      [
        { from: ['10.0.0.0/8'], identities: ['cn:ana'], action: 'allow' },
        { from: ['10.0.0.0/8'], action: 'allow' },
      ],
      [`rule-redundant ${at(0)} shown`],
    ],
    [
      'no redundancy among keys of two kinds',
      [
        { from: ['10.0.0.0/8'], database: database(['a:*']), action: 'deny' },
        { from: ['10.0.0.0/8'], database: database(['*']), action: 'allow' },
      ],
      [],
    ],
  ])('%s', (_, rules, expected) => {
    expect(found(one(...rules))).toEqual(expected);
  });

  it('tell of a database in applications of requests', () => {
    const words: DocumentWords = {
      guardrails: [{ database: { kind: 'mysql', users: ['a'], schemas: null }, action: 'deny' }],
      applications: { a: { mode: 'http', rules: [{ action: 'allow' }] } },
    };
    expect(lint(documentOf(words))[0]).toMatchObject({ code: 'rule-never-matches', message: expect.stringMatching(/carries requests/) });
  });
});

it('an export leaves out whom it cannot tell, and says so', () => {
  const { vips, left } = exportable(policy);
  expect(vips[0]!.sources).toHaveLength(1);
  expect(left.join('\n')).toMatch(/"shop".*the ClientHello and who the client is/);
  expect(left.join('\n')).toMatch(/"db".*what is asked of a database/);
  const denying = exportable(
    documentOf({ segments: { s: { identities: ['cn:x'] } }, ...one({ name: 'n', from: ['s'], action: 'deny' }, { action: 'allow' }) }),
  );
  expect(denying.vips[0]!.sources).toEqual([]);
});

const FILE = `version: 1
segments: { admins: { identities: ["cn:root", "cn:root", "cn:ana"] } }
pools: { p: { servers: [127.0.0.1:9001] } }
applications:
  a:
    vips: [127.0.0.1:80]
    mode: tcp
    pool: p
    rules:
      - { name: admins, from: [admins], tls: { sni: [b.example, a.example] }, action: allow, on-revoke: { drain: 5s } }
      - { name: db, postgres: { users: [b, a], databases: ["shop_*"] }, action: allow }
      - { name: cache, redis: { commands: [GET, "config get"], keys: ["b:*", "a:*"] }, action: allow }
tests:
  - { from: 10.0.0.1, to: 127.0.0.1:80, sni: a.example, identities: ["cn:root"], expect: allow, by: admins }
  - { from: 10.0.0.1, to: 127.0.0.1:80, sni: a.example, expect: deny }
  - { from: 10.0.0.1, to: 127.0.0.1:80, user: a, database: shop_1, expect: allow, by: db }
  - { from: 10.0.0.1, to: 127.0.0.1:80, command: get, keys: ["b:1", "a:1"], expect: allow, by: cache }
  - { from: 10.0.0.1, to: 127.0.0.1:80, command: config set, keys: ["b:1"], expect: deny }
`;

function load(text: string) {
  const loaded = parseDocument([{ file: 'test.yaml', text }], {});
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  return loaded.document;
}

it('tests in the file are rehearsed with all of it', () => {
  const document = load(FILE);
  expect(rehearse(compile(document), document.tests).filter(({ passed }) => !passed)).toEqual([]);
});

it('what is printed means the same', () => {
  const document = load(FILE);
  const printed = load(JSON.stringify(normalised(document.source)));
  expect(printed.segments[0]!.identities).toEqual(['cn:ana', 'cn:root']);
  expect(diffDocuments(document, printed)).toMatchObject({ differs: false });
  expect(rehearse(compile(printed), printed.tests).filter(({ passed }) => !passed)).toEqual([]);
});

it('a flow of the journal is put again with what its record carries', () => {
  const image = compile(policy);
  const flow = { application: 'a', source: '192.0.2.1:5', vip: VIP, protocol: 'tls', method: null, host: null, path: null };
  const verdict = (more: object) => replay(image, { ...flow, ...more }, null).verdict;
  expect(verdict({})).toBe('unknown');
  expect(verdict({ sni: 'shop.example' })).toBe('unknown');
  expect(verdict({ sni: 'shop.example', identities: ['cn:ana'] })).toBe('allow');
  expect(verdict({ sni: 'x.example', identities: ['cn:ana'] })).toBe('deny');
  expect(questionOfFlow({ ...flow, alpn: 'h2' }, null)).toMatchObject({ alpn: ['h2'], identities: null });
});
