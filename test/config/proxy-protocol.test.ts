import { describe, expect, it } from 'vitest';
import { parseDocument } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';

function parsed(application: string, pool = '', vip = '127.0.0.1:8080') {
  const text = `version: 1
pools: { p: { servers: [127.0.0.1:9001]${pool} } }
applications:
  app: { vips: ["${vip}"], mode: http, pool: p${application} }
`;
  const loaded = parseDocument([{ file: 'f.yaml', text }], {});
  return loaded.ok ? loaded.document : loaded.problems.map(formatProblem).join('\n');
}

describe('proxy-protocol', () => {
  it('of an application has defaults for what is not said', () => {
    const document = parsed(', proxy-protocol: { from: [10.0.0.0/8] }');
    expect(document).toMatchObject({
      applications: [
        {
          proxyProtocol: { from: [{ bits: 8 }], unix: false, required: false, trustIdentity: false, timeoutMs: 3_000, headerBytes: 4_096 },
        },
      ],
    });
  });

  it.each([
    ['v1', { version: 1, tlvs: [] }],
    ['v2', { version: 2, tlvs: [] }],
    ['{ version: 2, tlvs: [crc32c, ssl] }', { version: 2, tlvs: ['crc32c', 'ssl'] }],
  ])('of a pool: %s', (written, expected) => {
    expect(parsed('', `, proxy-protocol: ${written}`)).toMatchObject({ pools: [{ proxyProtocol: expected }] });
  });

  it.each([
    ['no proxies', ', proxy-protocol: { from: [] }', '', /"from" must be a list of addresses such as \[10\.0\.0\.0\/8\]/],
    ['a segment', ', proxy-protocol: { from: [office] }', '', /^f\.yaml:4:82: error\[unsupported\]: "office" is a name[^\n]*$/],
    ['unix without a unix socket', ', proxy-protocol: { from: [unix] }', '', /No VIP of the application is a unix socket/],
    ['an unknown key', ', proxy-protocol: { from: [10.0.0.1], requires: true }', '', /Did you mean "?require|require/],
    ['a version that there is not', '', ', proxy-protocol: v3', /v1, v2, or a mapping/],
    ['TLVs of version 1', '', ', proxy-protocol: { version: 1, tlvs: [ssl] }', /the number 2, the version that has TLVs/],
    ['an unknown TLV', '', ', proxy-protocol: { version: 2, tlvs: [noop] }', /one of alpn, authority, crc32c, unique-id, ssl/],
  ])('is refused with a word: %s', (_what, application, pool, words) => {
    expect(parsed(application, pool)).toMatch(words);
  });

  it('takes proxies on a unix socket', () => {
    expect(parsed(', proxy-protocol: { from: [unix] }', '', 'unix:/tmp/x')).toMatchObject({
      applications: [{ proxyProtocol: { from: [], unix: true } }],
    });
  });
});
