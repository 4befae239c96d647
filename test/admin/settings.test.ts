import { describe, expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';

const HASH = `sha256:${'0123456789abcdef'.repeat(4)}`;

function read(admin: string) {
  return parseDocument([{ file: 'bulkhead.yaml', text: `version: 1\nprocess: { admin: ${admin} }\n` }], {});
}

describe('the settings of the admin endpoint', () => {
  it('name tokens by what they are checked against', () => {
    const loaded = read(`{ tokens: [{ name: ana, role: admin, hash: "${HASH}" }] }`);
    expect(loaded).toMatchObject({
      ok: true,
      document: { process: { adminTokens: [{ name: 'ana', role: 'admin', sha256: HASH.slice(7) }] } },
    });
    expect(read('off')).toMatchObject({ ok: true, document: { process: { admin: null, adminTokens: [] } } });
  });

  it.each(['127.0.0.1:9900', '127.8.8.8:9900', '"[::1]:9900"', '"[::ffff:127.0.0.1]:9900"', 'unix:/run/bulkhead.sock'])(
    'may listen on %s',
    (listen) => {
      expect(read(`{ listen: ${listen} }`).ok).toBe(true);
    },
  );

  it.each(['0.0.0.0:9900', '"[::]:9900"', '10.0.0.1:9900', '192.0.2.1:9900'])('may not listen on %s without TLS', (listen) => {
    expect(read(`{ listen: ${listen} }`)).toMatchObject({
      ok: false,
      problems: [{ code: 'admin-without-tls', path: '/process/admin/listen' }],
    });
  });

  it.each(['0.0.0.0:9900', '"[::]:9900"', '10.0.0.1:9900', '127.0.0.1:9900'])('may listen on %s with TLS', (listen) => {
    expect(read(`{ listen: ${listen}, tls: { certificate: admin.pem, key: admin.key } }`)).toMatchObject({
      ok: true,
      document: { process: { adminTls: { certificate: 'admin.pem', key: 'admin.key' } } },
    });
  });

  it('teach what an address that others can reach needs', () => {
    const loaded = read('{ listen: 0.0.0.0:9900 }');
    expect(loaded.ok ? '' : loaded.problems[0]!.message).toMatch(
      /has no TLS.*tls: \{ certificate: admin\.pem, key: admin\.key \}.*loopback/,
    );
  });

  it.each([
    ['{ tls: { certificate: admin.pem } }', 'missing-key', '/process/admin/tls/key'],
    ['{ tls: { certificate: admin.pem, key: 7 } }', 'wrong-type', '/process/admin/tls/key'],
    ['{ tls: { certificate: admin.pem, key: admin.key, chain: x } }', 'unknown-key', '/process/admin/tls/chain'],
    ['{ tls: on }', 'wrong-type', '/process/admin/tls'],
    ['{ listen: unix:/run/b.sock, tls: { certificate: admin.pem, key: admin.key } }', 'admin-tls-over-unix', '/process/admin/tls'],
  ])('refuse %s', (admin, code, path) => {
    const loaded = read(admin);
    expect(loaded.ok ? [] : loaded.problems).toEqual([expect.objectContaining({ code, path })]);
  });

  it.each([
    [`{ name: ana, role: root, hash: "${HASH}" }`, 'wrong-value', '/role'],
    ['{ name: ana, role: admin, hash: secret }', 'wrong-value', '/hash'],
    [`{ name: ana, role: admin, hash: "${HASH.toUpperCase()}" }`, 'wrong-value', '/hash'],
    ['{ name: ana, role: admin, token: secret }', 'unknown-key', '/token'],
  ])('refuse %s', (token, code, path) => {
    const loaded = read(`{ tokens: [${token}] }`);
    expect(loaded.ok ? [] : loaded.problems).toEqual(
      expect.arrayContaining([expect.objectContaining({ code, path: `/process/admin/tokens/0${path}` })]),
    );
  });

  it.each([
    ['{}', null],
    ['{ age: off }', null],
    ['{ age: 30d }', 30 * 24 * 3_600_000],
  ])('of the journal: %s', (journal, ageMs) => {
    const loaded = parseDocument([{ file: 'bulkhead.yaml', text: `version: 1\nprocess: { journal: ${journal} }\n` }], {});
    expect(loaded).toMatchObject({ ok: true, document: { process: { journal: { ageMs } } } });
  });

  it('refuse two tokens of one name', () => {
    const token = `{ name: ana, role: admin, hash: "${HASH}" }`;
    expect(read(`{ tokens: [${token}, ${token}] }`)).toMatchObject({ ok: false, problems: [{ code: 'duplicate-name' }] });
  });
});
