import { describe, expect, it } from 'vitest';
import { parseH2load } from '../../bench/work/h2.ts';

const said = (requests: string, codes: string) => `
finished in 2.00s, 45671.50 req/s, 3.99MB/s
requests: ${requests}
status codes: ${codes}
traffic: 7.98MB (8369374) total, 1.05MB (1096118) headers (space savings 95.20%), 5.57MB (5846080) data
`;

describe('what h2load says', () => {
  it('is read where all went well', () => {
    const output = said(
      '91345 total, 91425 started, 91345 done, 91345 succeeded, 0 failed, 0 errored, 0 timeout',
      '91346 2xx, 0 3xx, 0 4xx, 0 5xx',
    );
    expect(parseH2load(output, 2)).toEqual({ units: 91_346, seconds: 2 });
  });

  it.each([
    [
      'an answer that is no 2xx',
      said('2 total, 2 started, 2 done, 2 succeeded, 0 failed, 0 errored, 0 timeout', '1 2xx, 0 3xx, 0 4xx, 1 5xx'),
    ],
    [
      'a request that failed',
      said('2 total, 2 started, 2 done, 1 succeeded, 1 failed, 0 errored, 0 timeout', '1 2xx, 0 3xx, 0 4xx, 0 5xx'),
    ],
    ['nothing', ''],
  ])('fails where there is %s', (_name, output) => {
    expect(() => parseH2load(output, 2)).toThrow('h2load: ');
  });
});
