import { describe, expect, it } from 'vitest';
import { fieldName } from '../../policy/header-lookup.ts';
import { SentFields } from '../../proxy/http/sent-fields.ts';
import { randomFrom } from '../policy/randomDocument.ts';

const SEED = Number(process.env.BULKHEAD_SEED ?? Date.now() % 2 ** 31);
const TARGET = 'GET /';
/** Names that FNV-1a does not tell apart. */
const COLLIDING = ['x-93vu', 'x-gtea'] as const;

function fieldsIn(...lines: string[]): SentFields {
  const text = [`${TARGET} HTTP/1.1`, ...lines, '', 'body: none'].join('\r\n');
  return new SentFields(Buffer.from(text, 'latin1'), TARGET.length);
}

/** What a visitor is shown that asks for one name. */
function shown(fields: SentFields, name: string): string[] {
  const values: string[] = [];
  fields.visitFields({ asksFor: (one) => one === fieldName(name), visit: (_, value) => values.push(value) });
  return values;
}

describe('the fields of a request as it is sent', () => {
  const table: [why: string, lines: string[], name: string, values: string[]][] = [
    ['a field', ['X-Tenant: a'], 'x-tenant', ['a']],
    ['in other letter case, and with an underscore', ['x_TENANT:a'], 'x-tenant', ['a']],
    ['several lines, in order', ['A: 1', 'B: 2', 'a: 3'], 'a', ['1', '3']],
    ['blanks around a value, and in it', ['A: \t b c\t '], 'a', ['b c']],
    ['no value', ['A:', 'B: '], 'a', ['']],
    ['a value of blanks', ['A:  \t '], 'a', ['']],
    ['colons in a value', ['A: b:c:d'], 'a', ['b:c:d']],
    ['bytes over 127', ['A: \xe9\xff'], 'a', ['\xe9\xff']],
    ['part of a name', ['A-B: 1', 'B: 2'], 'a', []],
    ['a longer name', ['A: 1'], 'a-b', []],
    ['no field at all', [], 'a', []],
    ['what stands in the body', ['A: 1'], 'body', []],
    ['more lines than are usual', Array.from({ length: 300 }, (_, i) => `N-${i % 100}: ${i}`), 'n-7', ['7', '107', '207']],
  ];
  it.each(table)('%s', (_, lines, name, values) => {
    expect(fieldsIn(...lines).fieldLines(name)).toEqual(values);
    expect(shown(fieldsIn(...lines), name)).toEqual(values);
  });

  it('is told from one whose name has the same hash', () => {
    const [one, other] = COLLIDING;
    expect(fieldName(one)).toBe(fieldName(other));
    const fields = fieldsIn(`${other}: theirs`, `${one}: mine`);
    expect(fields.fieldLines(one)).toEqual(['mine']);
    expect(shown(fields, one)).toEqual(['theirs', 'mine']);
  });

  it('stay those of their request while another one is looked at', () => {
    const [one, other] = [fieldsIn('A: 1', 'B: 2'), fieldsIn('B: 3', 'A: 4')];
    expect(shown(one, 'a')).toEqual(['1']);
    expect(other.fieldLines('b')).toEqual(['3']);
    expect(one.fieldLines('a')).toEqual(['1']);
    expect([...shown(other, 'a'), ...one.fieldLines('b'), ...one.fieldLines('a')]).toEqual(['4', '2', '1']);
  });

  it(`are what the text says (seed ${SEED})`, () => {
    const random = randomFrom(SEED);
    const one = <T>(list: readonly T[]) => list[random(list.length)]!;
    for (let round = 0; round < 500; round++) {
      const line = () => [one(['Accept', 'X_Id', 'x-id', 'Cookie', 'X-ID-2']), one([': ', ':', ':\t']), one(['', 'a', 'b c', ' d ', ':'])];
      const lines = Array.from({ length: random(12) }, line);
      const fields = fieldsIn(...lines.map((parts) => parts.join('')));
      for (const name of ['accept', 'x-id', 'cookie', 'x-id-2', 'none']) {
        const same = lines.filter(([written]) => written!.toLowerCase().replaceAll('_', '-') === name);
        const expected = same.map(([, , value]) => value!.trim());
        expect(one([() => fields.fieldLines(name), () => shown(fields, name)])(), `round ${round}, ${name}`).toEqual(expected);
      }
    }
  });
});
