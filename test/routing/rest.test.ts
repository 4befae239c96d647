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
];

describe('the target that a server gets in place of another', () => {
  it.each(TABLE)('%s and %s to %s is %s', (pattern, target, path, expected) => {
    expect(newTarget(path, target, normalisePath(target), [pattern])).toBe(expected);
  });

  it('takes the rest from the pattern that matched', () => {
    expect(newTarget('/x/*', '/b/1', '/b/1', ['/a/*', '/b/*'])).toBe('/x/1');
  });
});
