import { expect, it } from 'vitest';
import { advance, beginChain } from '../../proxy/tls/tickets.ts';

it('a clock that is set back changes no keys, now or once it is right again', () => {
  const chain = beginChain(1_000, 50_000);
  expect(advance(chain, 48_000)).toBe(chain);
  expect(advance(advance(chain, 48_000), 51_000)).toEqual(advance(chain, 51_000));
});
