/** No spelling of a path steps around a rule: a table of targets, of what the server is sent, and of verdicts. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile } from '../../policy/compile.ts';
import { ALLOW, decide, kindOf, ruleOf } from '../../policy/decide.ts';
import { pathFacts, resolveDots } from '../../policy/readings.ts';
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
      allow: { mode: 'http', vips: ['10.0.0.1:81'], rules: [{ name: 'public', http: { paths: ['/public/*'] }, action: 'allow' }] },
    },
  }),
);

function verdict(target: string, port: 80 | 81): string {
  const request = { method: 'GET', host: 'a', ...pathFacts(target) };
  const decision = decide(image, image.vipIndex(`10.0.0.1:${port}`), 0, HTTP, request);
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
