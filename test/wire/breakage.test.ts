import { expect, it } from 'vitest';
import { breakageOf } from '../../proxy/wire/breakage.ts';
import type { Wire } from '../../proxy/wire/wire.ts';

it.each([
  [-104, null, 'reset'],
  [-32, null, 'reset'],
  [-110, null, 'error ETIMEDOUT'],
  [-71, null, 'error EPROTO'],
  [-71, 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'refused by TLS alert: certificate required'],
  [-71, 'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE', 'refused by TLS alert: bad certificate'],
  [-71, 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'decryption failed or bad record mac'],
  [-104, 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC', 'reset'],
  // Of HTTP/2, which has codes of its own.
  [-100_008, null, 'error -100008'],
  // Which no system has.
  [0, null, 'error 0'],
  [1, null, 'error 1'],
])('a connection that broke with %i, and TLS with %s, is told of as: %s', (errno, fault, words) => {
  expect(breakageOf({ handle: { fault } } as Wire, errno)).toBe(words);
});

it('what a peer is told of in a record is bounded', () => {
  expect(breakageOf({ handle: { fault: 'X'.repeat(10_000) } } as Wire, -71).length).toBeLessThan(200);
});
