import { describe, expect, it } from 'vitest';
import type { Redirect } from '../../config/route.ts';
import { HeadEdit } from '../../proxy/routing/edit.ts';
import { locationOf } from '../../proxy/routing/redirect.ts';

const HEAD = 'GET /a HTTP/1.1\r\nHost: a.example\r\nX_Team: red\r\nx-team: green\r\nAccept: */*\r\n\r\n';

function edited(edit: HeadEdit, firstLine: string | null = null): string {
  const bytes = Buffer.from(`xx${HEAD}body`, 'latin1');
  const out = Buffer.alloc(1024);
  const end = edit.write(out, 3, bytes, 2, 2 + HEAD.length, firstLine);
  expect(end - 3).toBeLessThanOrEqual(HEAD.length + edit.growth + (firstLine?.length ?? 0));
  return out.toString('latin1', 3, end);
}

describe('a head on its way', () => {
  it.each([
    ['unchanged', new HeadEdit(null, null), null, HEAD],
    [
      'set: there once, in either spelling of its name',
      new HeadEdit({ set: [{ name: 'X-Team', value: 'blue' }], add: [], remove: [] }, null),
      null,
      'GET /a HTTP/1.1\r\nX-Team: blue\r\nHost: a.example\r\nAccept: */*\r\n\r\n',
    ],
    [
      'added to what is there',
      new HeadEdit({ set: [], add: [{ name: 'x-team', value: 'blue' }], remove: [] }, null),
      null,
      'GET /a HTTP/1.1\r\nx-team: blue\r\nHost: a.example\r\nX_Team: red\r\nx-team: green\r\nAccept: */*\r\n\r\n',
    ],
    [
      'removed',
      new HeadEdit({ set: [], add: [], remove: ['accept'] }, null),
      null,
      'GET /a HTTP/1.1\r\nHost: a.example\r\nX_Team: red\r\nx-team: green\r\n\r\n',
    ],
    [
      'another target and host',
      new HeadEdit(null, 'b.example'),
      'GET /b HTTP/1.1',
      'GET /b HTTP/1.1\r\nHost: b.example\r\nX_Team: red\r\nx-team: green\r\nAccept: */*\r\n\r\n',
    ],
  ] as const)('%s', (_, edit, firstLine, expected) => {
    expect(edited(edit, firstLine)).toBe(expected);
  });
});

const STAY: Redirect = { scheme: null, host: null, port: null, path: null, status: 308 };
const ASKED = { scheme: 'http', host: 'a.example:8080', target: '/x/y?z=1', normalised: '/x/y', patterns: ['/x/*'] } as const;

describe('where a redirect leads', () => {
  it.each<[Partial<Redirect>, string]>([
    [{ scheme: 'https' }, 'https://a.example/x/y?z=1'],
    [{ scheme: 'https', port: 8443 }, 'https://a.example:8443/x/y?z=1'],
    [{ scheme: 'https', port: 443 }, 'https://a.example/x/y?z=1'],
    [{ host: 'b.example' }, 'http://b.example/x/y?z=1'],
    [{ path: '/new' }, 'http://a.example:8080/new?z=1'],
    [{ path: '/new/*' }, 'http://a.example:8080/new/y?z=1'],
  ])('%j: %s', (words, expected) => {
    expect(locationOf({ ...STAY, ...words }, ASKED)).toBe(expected);
  });

  it('keeps the brackets of an IPv6 host', () => {
    expect(locationOf({ ...STAY, scheme: 'https' }, { ...ASKED, host: '[::1]:8080' })).toBe('https://[::1]/x/y?z=1');
  });
});
