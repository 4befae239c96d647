import { describe, expect, it } from 'vitest';
import { CANCEL_KEYS_MAX, findKey, forgetKey, keyText, rememberKey } from '../../proxy/databases/cancel-keys.ts';

const target = (application: string) => ({ application, server: 'p/127.0.0.1:5432', user: 'ana', database: null });

describe('a key that cancels a session', () => {
  it('leads to that session, for clients of its own application alone, until it is over', () => {
    const key = keyText(1, Buffer.from('secret'));
    rememberKey(key, target('shop'));
    expect(findKey(key, 'shop')).toEqual(target('shop'));
    expect(findKey(key, 'bank')).toBeNull();
    forgetKey(key);
    expect(findKey(key, 'shop')).toBeNull();
  });

  it('is forgotten where there are too many, the oldest first', () => {
    for (let i = 0; i <= CANCEL_KEYS_MAX; i++) rememberKey(`${i}`, target('shop'));
    expect(findKey('0', 'shop')).toBeNull();
    expect(findKey('1', 'shop')).not.toBeNull();
    for (let i = 0; i <= CANCEL_KEYS_MAX; i++) forgetKey(`${i}`);
  });
});
