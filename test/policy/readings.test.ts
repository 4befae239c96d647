/** No spelling of a path steps around a rule: a table of targets, of what the server is sent, and of verdicts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import { PLAIN_CONNECTION } from '../../policy/connection.ts';
import { ALLOW, decide, kindOf, ruleOf } from '../../policy/decide.ts';
import { decodePath } from '../../policy/escapes.ts';
import { pathFacts, resolveDots } from '../../policy/readings.ts';
import { UNREAD_PATH } from '../../policy/request.ts';
import { documentOf } from './documents.ts';

const HTTP = 2;
const image = compile(
  documentOf({
    applications: {
      deny: {
        mode: 'http',
        vips: ['10.0.0.1:80'],
        rules: [
          { name: 'no-admin', http: { paths: ['/admin/*'] }, action: 'deny' },
          { name: 'rest', action: 'allow' },
        ],
      },
      open: { mode: 'http', vips: ['10.0.0.1:82'], rules: [{ name: 'all', action: 'allow' }] },
      allow: { mode: 'http', vips: ['10.0.0.1:81'], rules: [{ name: 'public', http: { paths: ['/public/*'] }, action: 'allow' }] },
    },
  }),
);

function verdict(target: string, port: 80 | 81 | 82): string {
  const request = { kind: 'http' as const, method: 'GET', host: 'a', ...pathFacts(target) };
  const decision = decide(image, image.vipIndex(`10.0.0.1:${port}`), 0, HTTP, request, PLAIN_CONNECTION);
  return `${kindOf(decision) === ALLOW ? 'allow' : 'deny'} ${image.ruleName(ruleOf(decision))}`;
}

describe('a denied path stays denied', () => {
  it.each([
    '/admin',
    '/admin/',
    '/admin/x',
    '/admin?x',
    '/ADMIN/x',
    '/%61dmin/x',
    '//admin/x',
    '/./admin/x',
    '/x/../admin/x',
    '/x/%2e%2e/admin/x',
    '/x/.%2E/admin/x',
    '/x%2f..%2fadmin/x',
    '/x%2F../admin/x',
    '/x/..%2fadmin',
    '/x/..;/admin/x',
    '/x/..;a=b/admin/x',
    '/;/admin/x',
    '/admin;x/y',
    '/admin;jsessionid=1',
    '/admin%3bx/y',
    '/x\\..\\admin',
    '/x%5c..%5cadmin',
    '\\admin',
    '/x/%252e%252e/admin',
    '/x/%252e%252e%252fadmin',
    '/%2561dmin/x',
    '/x//../admin',
    '/admin%00.html',
    '/admin%2fx',
    '/admin%5cx',
    '/..//admin',
    '/../../admin',
  ])('%s', (target) => {
    expect(verdict(target, 80)).toBe('deny no-admin');
  });
});

describe('what servers read alike stays allowed', () => {
  it.each([
    '/',
    '/x',
    '/x//y',
    '/x;a=b',
    '/x%20y',
    '/x%2Fy',
    '/100%25',
    '/administrator',
    '/.well-known/x',
    '/a.b/..c',
    '/%C3%A9',
    '/x?p=/../admin',
    '/admin/../x',
    '*',
  ])('%s', (target) => {
    expect(verdict(target, 80)).toBe('allow rest');
  });
});

describe('an allowed path lets nothing else through', () => {
  it.each([
    ['/public/x', 'allow public'],
    ['/public/x;a=b', 'allow public'],
    ['/public/x%2Fy', 'allow public'],
    ['/public//x', 'allow public'],
    ['/x/../public/y', 'allow public'],
    ['/public/../x', 'deny default'],
    ['/public/..%2fx', 'deny default'],
    ['/public/..;/x', 'deny default'],
    ['/public%2f..%2fx', 'deny default'],
    ['/public/..%5cx', 'deny default'],
    ['/public/%252e%252e/x', 'deny default'],
    ['/x%2f..%2fpublic/y', 'deny default'],
    ['/;/public/y', 'deny default'],
  ])('%s: %s', (target, expected) => {
    expect(verdict(target, 81)).toBe(expected);
  });
});

describe('the target that is sent on', () => {
  it.each([
    ['/a/b', '/a/b'],
    ['/a/../b?x=/../y', '/b?x=/../y'],
    ['/a/%2E%2e/B', '/B'],
    ['/a/.', '/a/'],
    ['/a/..', '/'],
    ['/..', '/'],
    ['/a//../b', '/b'],
    ['/a%2Fb/../c', '/c'],
    ['/a%2f..%2fb', '/a%2f..%2fb'],
    ['//a/./b', '//a/b'],
    ['/.well-known/..hidden', '/.well-known/..hidden'],
    ['*', '*'],
  ])('%s is %s', (target, expected) => {
    expect(resolveDots(target)).toBe(expected);
  });

  it('holds no dot segment, is final, and never begins outside the root', () => {
    const piece = fc.constantFrom('/', '/', '..', '.', '%2e', '%2E', '%2f', 'a', ';', '\\', '%', '?', '%25');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 14 }), (pieces) => {
        const sent = resolveDots(`/${pieces.join('')}`);
        expect(sent.startsWith('/')).toBe(true);
        expect(resolveDots(sent)).toBe(sent);
        const segments = sent.split(/[?#]/)[0]!.split('/');
        expect(segments.some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))).toBe(false);
        const { path, readings = [] } = pathFacts(sent);
        expect(readings).not.toContain(path);
        expect(readings.length).toBeLessThan(96);
      }),
    );
  });
});

describe('a path that can be read in more ways than are judged', () => {
  const piece = '/a%2f..%5c;b\\c//%252e%2500%C3%28%00';
  const hostile = `/${piece.repeat(300)}`.slice(0, 8_190);

  it('passes only where no path matters', () => {
    expect(pathFacts(hostile).readings).toEqual([UNREAD_PATH]);
    expect(verdict(hostile, 80)).toBe('deny default');
    expect(verdict(`/public/${hostile}`, 81)).toBe('deny default');
    expect(verdict(hostile, 82)).toBe('allow all');
    expect(verdict(`/public/..%2f${'x'.repeat(8_000)}`, 81)).toBe('deny default');
    expect(verdict(`/public/a%2f${'x'.repeat(8_000)}`, 81)).toBe('allow public');
  });

  const pieces = fc.constantFrom(
    '/',
    '..',
    '%2e',
    '%2f',
    '%5C',
    'a',
    ';',
    '\\',
    '%',
    '%25',
    '%00',
    '%2500',
    '%252f',
    '%c3',
    '%a9',
    '%ED%A0',
    '//',
  );

  it('is long: up to 340 characters every reading is judged', () => {
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 30, maxLength: 300 }), (list) => {
        expect(pathFacts(`/${list.join('')}`.slice(0, 340)).readings ?? []).not.toContain(UNREAD_PATH);
      }),
    );
  });

  it('never has more of them than so many characters', () => {
    fc.assert(
      fc.property(fc.array(pieces, { minLength: 1, maxLength: 12 }), (list) => {
        const { readings = [] } = pathFacts(`/${list.join('')}`.repeat(700).slice(0, 8_190));
        expect(readings.reduce((sum, path) => sum + path.length, 0)).toBeLessThanOrEqual(32 * 1024);
      }),
      { numRuns: 30 },
    );
  });
});

describe('escapes', () => {
  const byte = fc.oneof(
    fc.nat(255),
    fc.constantFrom(0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xa0, 0x9f, 0xed, 0xef, 0xf0, 0x8f, 0x90, 0xf4, 0xf5),
  );
  const escaped = (code: number) => `%${code.toString(16).padStart(2, '0')}`;

  it.each([
    ['%c3%a9', '\u00e9'],
    ['%e2%82%ac', '\u20ac'],
    ['%f0%9f%98%80', '\u{1f600}'],
    ['%f4%8f%bf%bf', '\u{10ffff}'],
    ['%c0%af', '%c0%af'],
    ['%e0%80%af', '%e0%80%af'],
    ['%f0%80%80%af', '%f0%80%80%af'],
    ['%ed%a0%80', '%ed%a0%80'],
    ['%f4%90%80%80', '%f4%90%80%80'],
    ['%f5%80%80%80', '%f5%80%80%80'],
    ['%e2%82', '%e2%82'],
    ['%80', '%80'],
    ['%2f%ff%2e', '/%ff.'],
    ['%c3%2f', '%c3/'],
    ['%2', '%2'],
    ['%25%32%66', '%2f'],
  ])('%s is %j', (written, decoded) => expect(decodePath(written)).toBe(decoded));

  it('are decoded as decodeURIComponent does, run by run', () => {
    const oracle = (run: string) => {
      try {
        return decodeURIComponent(run);
      } catch {
        return run.replace(/%[0-7][0-9a-f]/g, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));
      }
    };
    fc.assert(
      fc.property(fc.array(byte, { minLength: 1, maxLength: 6 }), (bytes) => {
        const run = bytes.map(escaped).join('');
        expect(decodePath(run)).toBe(oracle(run));
        expect(decodePath(`a${run.toUpperCase()}%zz%`)).toBe(`a${oracle(run).replace(/%[0-9a-f]{2}/g, (code) => code.toUpperCase())}%zz%`);
      }),
      { numRuns: 3_000 },
    );
  });
});
