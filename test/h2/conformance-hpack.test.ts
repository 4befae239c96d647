/** RFC 7541: every way in which a field can be spelled, and what no field block may say. Encoded strings are those of its Appendix C. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../node/harness.ts';
import { block, ERROR, frame, GET, RawClient, setting, TYPE } from './frames.ts';
import { check, END, goAway, headers, play, type Row, rows, type Suite, settled, startSuite, status } from './suite.ts';

let suite: Suite;
beforeAll(async () => {
  suite = await startSuite();
});
afterAll(() => suite.stop());

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
/** `probe: custom-value`, in parts; the value is that of RFC 7541 §C.6.1. */
const PROBE = text('probe');
const VALUE = text('custom-value');
const VALUE_CODED = hex('89 25a849e95bb8e8b4bf');
/** `probe` by the code of Appendix B: 101011 101100 00111 100011 00101, and four ones. */
const PROBE_CODED = hex('84 aec3c65f');
const WITH = block(GET);
const request = (...parts: readonly Buffer[]) => headers(1, END, Buffer.concat([WITH, ...parts]));
const BROKEN = goAway(ERROR.compression);

/** How a literal begins: remembered, not remembered, never to be remembered by anybody; and the same with the name of the newest entry. */
const KINDS = [
  ['with indexing', 0x40, hex('7e')],
  ['without indexing', 0x00, hex('0f2f')],
  ['never indexed', 0x10, hex('1f2f')],
] as const;

describe('fields that a server gets', () => {
  it.each<readonly [string, string, readonly Buffer[]]>([
    ...KINDS.flatMap(([kind, first, again]) => [
      [`6.2 a new name, ${kind}`, 'custom-value', [Buffer.from([first]), PROBE, VALUE]] as const,
      [`6.2 a new name, ${kind}, coded`, 'custom-value', [Buffer.from([first]), PROBE_CODED, VALUE_CODED]] as const,
      [`6.2 a name that was remembered, ${kind}`, 'custom-value, other', [hex('40'), PROBE, VALUE, again, text('other')]] as const,
    ]),
    ['6.1 a field that was remembered', 'custom-value, custom-value', [hex('40'), PROBE, VALUE, hex('be')]],
    ['6.1 the older of two', 'custom-value, custom-value', [hex('40'), PROBE, VALUE, hex('40'), text('x'), text('y'), hex('bf')]],
    ['5.2 a string of nothing', '', [hex('00'), PROBE, hex('00')]],
    ['5.2 a coded string of nothing', '', [hex('00'), PROBE, hex('80')]],
    [
      '4.4 an entry that is larger than the table empties it',
      'custom-value',
      [hex('40'), text('x'), hex('7f a11f'), Buffer.alloc(4_128, 'y'), hex('40'), PROBE, VALUE],
    ],
  ])('%s', async (_what, saw, parts) => {
    const client = await check(suite.port, status('200'), [request(...parts)]);
    expect(client.field(1, 'saw')).toBe(saw);
  });

  it.each<readonly [string, Buffer]>([
    ['4.2 the table made empty', hex('20')],
    ['4.2 the table made smaller, then as large as before', hex('20 3fe11f')],
    ['4.2 the table as large as it may be', hex('3fe11f')],
  ])('%s', async (_what, update) => {
    await check(suite.port, status('200'), [headers(1, END, Buffer.concat([update, WITH]))]);
  });

  it.each([
    ['6.1 a field of the static table without a value', hex('ba')],
    ['6.2 a name of the static table', Buffer.concat([hex('7a'), text('h2')])],
    ['6.2 a name of the static table, by two bytes', Buffer.concat([hex('0f2b'), text('h2')])],
  ])('%s', async (_what, field) => {
    await check(suite.port, status('200'), [request(field)]);
  });

  it('2.3.2 the table is the connection’s: a later request refers to it', async () => {
    const client = await RawClient.open(suite.port);
    client.send(request(hex('40'), PROBE, VALUE), headers(3, END, Buffer.concat([WITH, hex('be')])));
    expect([await client.answer(3), client.field(3, 'saw')]).toEqual(['200', 'custom-value']);
    client.close();
  });

  it('4.2 what the table no longer has room for is forgotten', async () => {
    await check(suite.port, BROKEN, [
      request(hex('40'), PROBE, VALUE),
      headers(3, END, Buffer.concat([hex('20 3fe11f'), WITH, hex('be')])),
    ]);
  });
});

describe('blocks that end the connection', () => {
  const front = (update: Buffer) => headers(1, END, Buffer.concat([update, WITH]));
  rows(() => suite, [
    ['2.3.3', 'an index above both tables', BROKEN, [request(hex('fe'))]],
    ['2.3.3', 'a name of an index above both tables', BROKEN, [request(hex('7f13'), text('x'))]],
    ['2.3.3', 'the first index behind the static table, of an empty one', BROKEN, [request(hex('be'))]],
    ['4.2', 'the table resized behind a field', BROKEN, [request(hex('20'))]],
    ['4.2', 'the table resized between two fields', BROKEN, [headers(1, END, Buffer.concat([hex('82 20 86 84'), text('x')]))]],
    ['6.3', 'the table larger than it may be', BROKEN, [front(hex('3fe21f'))]],
    ['6.3', 'the table larger than any number', BROKEN, [front(hex('3fffffffff7f'))]],
    ['6.1', 'index 0', BROKEN, [request(hex('80'))]],
    ['5.1', 'a number that does not end with the block', BROKEN, [request(hex('ff ff'))]],
    ['5.1', 'a number without end', BROKEN, [request(Buffer.alloc(12, 0xff))]],
    ['5.1', 'a number above every index', BROKEN, [request(hex('ff ffffffff0f'))]],
    ['5.1', 'a name of a number without end', BROKEN, [request(hex('7f ffffffffffffff'))]],
    ['5.2', 'padding of more than seven bits', BROKEN, [request(hex('00'), PROBE, hex('82 1fff'))]],
    ['5.2', 'padding of zeros', BROKEN, [request(hex('00'), PROBE, hex('81 18'))]],
    ['5.2', 'the end of a string within it', BROKEN, [request(hex('00'), PROBE, hex('84 ffffffff'))]],
    ['5.2', 'the end of a string behind letters', BROKEN, [request(hex('00'), PROBE, hex('85 1fffffffff'))]],
    ['5.2', 'a string longer than the block', BROKEN, [request(hex('00'), PROBE, hex('0a'), Buffer.from('short'))]],
    ['5.2', 'a name longer than the block', BROKEN, [request(hex('00 7f ff7f'), Buffer.from('short'))]],
    ['5.2', 'a literal without its value', BROKEN, [request(hex('00'), PROBE)]],
    ['5.2', 'a literal without its name', BROKEN, [request(hex('00'))]],
    ['4.3', 'a block that is broken behind CONTINUATION', BROKEN, [headers(1, 1, WITH), frame(TYPE.continuation, 4, 1, hex('80'))]],
    ['4.3', 'broken trailers', BROKEN, [headers(1, 4), frame(TYPE.headers, 5, 1, hex('80'))]],
    [
      '4.3',
      'a broken block of a stream that the proxy has ended',
      BROKEN,
      [headers(1, 4, block([...GET, ['X', 'y']])), frame(TYPE.headers, 5, 1, hex('80'))],
    ],
  ] satisfies Row[]);
});

describe('the proxy’s own table', () => {
  it('4.2 is made as small as the settings say before the next block', async () => {
    const client = await RawClient.open(suite.port);
    const first = headers(1, END);
    client.send(first);
    expect(await client.answer(1)).toBe('200');
    client.send(frame(TYPE.settings, 0, 0, setting(1, 0)), headers(3, END));
    await until(() => client.hasEnded(3));
    const blockOf3 = client.frames.find(({ type, stream }) => type === TYPE.headers && stream === 3)!.payload;
    expect(blockOf3[0]).toBe(0x20);
    client.close();
  });

  it('4.2 has the least of several sizes said first', async () => {
    const client = await RawClient.open(suite.port);
    await play(client, [settled]);
    client.send(frame(TYPE.settings, 0, 0, Buffer.concat([setting(1, 0), setting(1, 100)])), headers(1, END));
    await until(() => client.hasEnded(1));
    const { payload } = client.frames.find(({ type }) => type === TYPE.headers)!;
    expect(payload.subarray(0, 3)).toEqual(hex('20 3f45'));
    client.close();
  });
});
