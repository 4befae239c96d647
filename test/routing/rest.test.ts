import { describe, expect, it } from 'vitest';
import { normalisePath } from '../../policy/request.ts';
import { newTarget } from '../../proxy/routing/rest.ts';

/** Pattern, target as sent, new path, target that the server gets. */
const TABLE: readonly (readonly [string, string, string, string])[] = [
  ['/api/*', '/api/users', '/v2/*', '/v2/users'],
  ['/api/*', '/api/users?page=2', '/v2/*', '/v2/users?page=2'],
  ['/api/*', '/api', '/v2/*', '/v2'],
  ['/api/*', '/api?x', '/v2/*', '/v2?x'],
  ['/api/*', '/api/', '/v2/*', '/v2/'],
  ['/api/*', '/api/users', '/*', '/users'],
  ['/api/*', '/api', '/*', '/'],
  ['/api*', '/api/users', '/*', '/users'],
  ['/api*', '/apiary', '/v*', '/vary'],
  // The client's own spelling of the rest stays.
  ['/api/*', '/API/Users/%41nna', '/v2/*', '/v2/Users/%41nna'],
  ['/api/*', '/%61pi/Users', '/v2/*', '/v2/Users'],
  ['/api/*', '//api//a//b', '/v2/*', '/v2/a//b'],
  ['/api/*', '/api/a%2Fb', '/v2/*', '/v2/a%2Fb'],
  ['/api/*', '/api/users', '/fixed', '/fixed'],
  ['/api/*', '/api/users?q=1', '/fixed', '/fixed?q=1'],
  // Beyond ASCII the two spellings are not laid side by side: the rest is that of the normalised path.
  ['/caf%C3%A9/*', '/caf%C3%A9/x', '/tea/*', '/tea/x'],
  // U+212A is the sign of the kelvin, whose lower case is the letter k.
  ['/kv/*', '/%E2%84%AAv/secret%3Fx', '/store/*', '/store/secret%3Fx'],
  ['/kv/*', '/%E2%84%AAv/a%23b%25%3Bc?x', '/store/*', '/store/a%23b%25%3Bc?x'],
  // No rest leads out of the folder that it comes to stand in.
  ['/img*', '/img../secret', '/static/*', '/static/secret'],
  ['/img*', '/img..', '/*', '/'],
  ['/img*', '/img..?x', '/static/*', '/static/?x'],
  ['/img*', '/img%2e%2E/secret', '/*', '/secret'],
  ['/img*', '/img.%252e/secret', '/static/*', '/static/secret'],
  ['/img*', '/img..;/secret', '/static/*', '/static/;/secret'],
  ['/img*', '/img../secret', '/v*', '/v../secret'],
  ['/img*', '/img.png', '/static/*', '/static/.png'],
  ['/img*', '/img...', '/static/*', '/static/...'],
];

describe('the target that a server gets in place of another', () => {
  it.each(TABLE)('%s and %s to %s is %s', (pattern, target, path, expected) => {
    expect(newTarget(path, target, normalisePath(target), [pattern])).toBe(expected);
  });

  it('takes the rest from the pattern that matched', () => {
    expect(newTarget('/x/*', '/b/1', '/b/1', ['/a/*', '/b/*'])).toBe('/x/1');
  });
});
