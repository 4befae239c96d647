import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldHostPattern, foldPathPattern, matchesHost, normaliseHost, normalisePath } from '../../policy/request.ts';

describe('normalisePath', () => {
  it.each([
    ['/', '/'],
    ['', '/'],
    ['/a/b', '/a/b'],
    ['/a/b/', '/a/b/'],
    ['/a?x=/../b', '/a'],
    ['/a#f', '/a'],
    ['/a%3Fb', '/a?b'],
    ['//a///b', '/a/b'],
    ['/a/./b/.', '/a/b/'],
    ['/a/../admin', '/admin'],
    ['/a/..', '/'],
    ['/a/b/..', '/a/'],
    ['/../../etc', '/etc'],
    ['/%2e%2e/%2E./admin', '/admin'],
    ['/a%2Fb', '/a/b'],
    ['/a%2f..%2fadmin', '/admin'],
    ['/a\\..\\admin', '/admin'],
    ['/a%5cb', '/a/b'],
    ['/%252e%252e/a', '/%2e%2e/a'],
    ['/ADMIN/%41', '/admin/a'],
    ['/%C3%89', '/é'],
    ['/%zz%4', '/%zz%4'],
    ['/%ff%2e%2e', '/%ff..'],
    ['/%c0%ae%c0%ae/a', '/%c0%ae%c0%ae/a'],
    ['/a;p=1/../b', '/b'],
    ['/a;p=1', '/a;p=1'],
    ['/...', '/...'],
    ['/.hidden', '/.hidden'],
    ['*', '*'],
    ['http://other.example/x/../y?z', '/y'],
    ['http://other.example', '/'],
    ['admin', '/admin'],
  ])('%s is %s', (target, expected) => {
    expect(normalisePath(target)).toBe(expected);
  });

  it('never throws, and its form is final', () => {
    const piece = fc.constantFrom('/', '..', '.', '%2e', '%2F', '%5c', '%ff', '%c3%a9', '%', 'a', 'B', '\\', ';x', 'é', '\ud800');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const path = normalisePath(pieces.join(''));
        expect(path.startsWith('/')).toBe(true);
        expect(path.split('/').some((segment) => segment === '..' || segment === '.')).toBe(false);
        expect(path).not.toMatch(/\/\/|\\/);
        expect(path).toBe(path.toLowerCase());
        if (!path.includes('%')) expect(normalisePath(path)).toBe(path);
      }),
    );
  });
});

describe('path patterns', () => {
  it.each([
    ['/admin', '/admin', null],
    ['/Admin/*', '/admin', '/admin/'],
    ['/adm*', null, '/adm'],
    ['*', null, ''],
    ['/*', null, '/'],
    ['/a/../b/*', '/b', '/b/'],
    ['/a/..*', null, '/a/..'],
  ])('%s', (pattern, exact, prefix) => {
    expect(foldPathPattern(pattern)).toEqual({ exact, prefix });
  });
});

describe('hosts', () => {
  it.each([
    ['Example.COM', 'example.com'],
    ['example.com:8080', 'example.com'],
    ['example.com.', 'example.com'],
    ['example.com.:80', 'example.com'],
    ['[2001:DB8::1]:443', '[2001:db8::1]'],
    ['[::1]', '[::1]'],
    ['::1', '::1'],
    ['', ''],
    [':80', ''],
  ])('%s is %s', (host, expected) => {
    expect(normaliseHost(host)).toBe(expected);
  });

  it.each([
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'b.a.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'badexample.com', false],
    ['*.example.com', '.example.com', false],
    ['example.com', 'example.com', true],
    ['*', 'anything', true],
  ])('%s matches %s: %s', (pattern, host, expected) => {
    expect(matchesHost(foldHostPattern(pattern), host)).toBe(expected);
  });
});
