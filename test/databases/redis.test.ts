import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMAND_BYTES_MAX, errorReply, RedisReader, writeCommand } from '../../proxy/databases/redis.ts';
import { RedisReplies } from '../../proxy/databases/redis-replies.ts';

const latin = (text: string) => Buffer.from(text, 'latin1');

/** Every command of the bytes as `name[keys]`, each followed by how much of the stream it took; cut into parts of the given sizes. */
function commandsOf(stream: Buffer, cuts: readonly number[] = [stream.length]): string[] {
  const reader = new RedisReader();
  const found: string[] = [];
  let held = Buffer.alloc(0);
  let passing = false;
  let start = 0;
  let taken = 0;
  for (let cut = 0, from = 0; from < stream.length; cut++) {
    const size = Math.max(1, cuts[cut % cuts.length]!);
    // Memory behind what was read belongs to somebody else.
    held = Buffer.concat([held, stream.subarray(from, from + size)]);
    from += size;
    const bytes = Buffer.concat([held, latin('$9\r\n*9\r\nxx')]);
    const length = held.length;
    let at = 0;
    for (;;) {
      if (!passing) {
        if (at >= length) break;
        const reading = reader.look(bytes, at, length);
        if (reading === 'more') break;
        if (reading === 'nothing') {
          at += reader.at;
          reader.renew();
          found.push('nothing');
          continue;
        }
        if (reading !== 'known') return [...found, reading];
        const { name, keys, login } = reader.command!;
        found.push(`${name}[${keys.join(' ')}]${login === null ? '' : ` as ${login}`}`);
        start = taken + at;
        at += reader.at;
        passing = true;
      }
      const next = reader.pass(bytes, at, length);
      if (typeof next === 'string') return [...found, next];
      at = next;
      if (!reader.passed) break;
      found.push(`${taken + at - start}`);
      reader.renew();
      passing = false;
    }
    taken += at;
    held = held.subarray(at);
  }
  return found;
}

const names = (stream: Buffer) => commandsOf(stream).filter((each) => !/^\d+$/.test(each));
const array = (...words: string[]) => writeCommand(words.map(latin));

describe('a command', () => {
  it.each([
    ['get', ['GET', 'a'], 'get[a]'],
    ['set with options', ['SET', 'a', 'v', 'EX', '10'], 'set[a]'],
    ['mget', ['MGET', 'a', 'b', 'c'], 'mget[a b c]'],
    ['mset', ['MSET', 'a', '1', 'b', '2'], 'mset[a b]'],
    ['del', ['del', 'a', 'b'], 'del[a b]'],
    ['rename', ['RENAME', 'a', 'b'], 'rename[a b]'],
    ['blpop', ['BLPOP', 'a', 'b', '0'], 'blpop[a b]'],
    ['eval', ['EVAL', 'return 1', '2', 'a', 'b', 'x'], 'eval[a b]'],
    ['eval without keys', ['EVAL', 'return 1', '0', 'x'], 'eval[]'],
    ['eval with a count that is none', ['EVAL', 's', '-1', 'x'], 'eval[s -1 x]'],
    ['eval with more keys than there are', ['EVAL', 's', '9', 'x'], 'eval[s 9 x]'],
    ['zunionstore', ['ZUNIONSTORE', 'd', '2', 'a', 'b', 'WEIGHTS', '1', '2'], 'zunionstore[a b d]'],
    ['xread', ['XREAD', 'COUNT', '2', 'STREAMS', 'a', 'b', '0', '0'], 'xread[a b]'],
    ['xreadgroup of a group called streams', ['XREADGROUP', 'GROUP', 'streams', 'c', 'STREAMS', 'a', '>'], 'xreadgroup[a]'],
    ['xread without streams', ['XREAD', 'COUNT', '2'], 'xread[COUNT 2]'],
    ['config set', ['CONFIG', 'SET', 'dir', '/'], 'config|set[]'],
    ['a container alone', ['CONFIG'], 'config[]'],
    ['object', ['OBJECT', 'ENCODING', 'a'], 'object|encoding[a]'],
    ['memory usage', ['MEMORY', 'USAGE', 'a'], 'memory|usage[a]'],
    ['a subcommand that nobody knows', ['CONFIG', 'FROB', 'a'], 'config|frob[FROB a]'],
    ['a command that nobody knows: everything is a key', ['FROB', 'a', 'b'], 'frob[a b]'],
    ['sort, which may name keys anywhere', ['SORT', 'a', 'STORE', 'b'], 'sort[a STORE b]'],
    ['auth', ['AUTH', 'secret'], 'auth[] as default'],
    ['auth with a user', ['AUTH', 'ana', 'secret'], 'auth[] as ana'],
    ['hello', ['HELLO', '3'], 'hello[]'],
    ['hello with a user', ['HELLO', '3', 'AUTH', 'ana', 'secret', 'SETNAME', 'x'], 'hello[] as ana'],
    ['ping', ['PING'], 'ping[]'],
    ['get without a key', ['GET'], 'get[]'],
  ])('%s', (_what, words, expected) => {
    expect(names(array(...words))).toEqual([expected]);
  });

  it.each([
    ['in line', 'SET a b\r\n', ['set[a]']],
    ['in line, with blanks', '  get   a \t\r\n', ['get[a]']],
    ['in line, without a carriage return', 'PING\n', ['ping[]']],
    ['an empty line', '\r\nPING\r\n', ['nothing', 'ping[]']],
    ['an empty array', '*0\r\nPING\r\n', ['nothing', 'ping[]']],
    ['a null array', '*-1\r\nPING\r\n', ['nothing', 'ping[]']],
    ['a pipeline of both', '*1\r\n$4\r\nPING\r\nGET a\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n', ['ping[]', 'get[a]', 'get[b]']],
    ['an empty argument', '*2\r\n$3\r\nGET\r\n$0\r\n\r\n', ['get[]']],
    ['a key with a line end', '*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n', ['get[a\r\nb]']],
    ['quotes in line, which a server takes off', 'GET "a b"\r\n', ['quotes']],
    ['two logins in one', writeCommand(['HELLO', '3', 'AUTH', 'ana', 'x', 'AUTH', 'bob', 'y']).toString(), ['malformed']],
    ['a login behind a word that only a server knows', writeCommand(['HELLO', '3', 'AS', 'AUTH', 'ana', 'x']).toString(), ['malformed']],
    ['streams with a half too many', writeCommand(['XREAD', 'STREAMS', 'a', 'b', '0']).toString(), ['xread[STREAMS a b 0]']],
    ['a sign', '*+1\r\n$4\r\nPING\r\n', ['malformed']],
    ['a zero in front', '*01\r\n$4\r\nPING\r\n', ['malformed']],
    ['a blank', '* 1\r\n$4\r\nPING\r\n', ['malformed']],
    ['no number', '*\r\n', ['malformed']],
    ['a line that goes on and on', `*${'1'.repeat(40)}`, ['malformed']],
    ['something else than a string', '*1\r\n:4\r\n', ['malformed']],
    ['a null string', '*1\r\n$-1\r\n', ['malformed']],
    ['a length that is too long', '*1\r\n$536870913\r\n', ['malformed']],
    ['a length that does not fit', '*1\r\n$3\r\nPING\r\n', ['malformed']],
    ['too many arguments', '*1048577\r\n', ['too long']],
    ['a line feed alone', '*1\n$4\nPING\n', ['malformed']],
    ['NUL in line', 'GET a\0b\r\n', ['malformed']],
    ['a name that is too long', `*1\r\n$${COMMAND_BYTES_MAX + 1}\r\n`, ['too long']],
    ['a line that is too long', 'a'.repeat(COMMAND_BYTES_MAX + 1), ['too long']],
    [
      'keys that are too long together',
      writeCommand(['DEL', ...Array.from({ length: 100 }, () => 'k'.repeat(1_000))]).toString(),
      ['too long'],
    ],
  ])('%s', (_what, text, expected) => {
    expect(names(latin(text))).toEqual(expected);
  });

  it('in line goes to the server as the array that was judged', () => {
    const reader = new RedisReader();
    const line = latin('set  a b\r\n');
    expect(reader.look(line, 0, line.length)).toBe('known');
    expect(reader.rewritten!.toString()).toBe('*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\nb\r\n');
  });

  it('is known before its large values are there', () => {
    const reader = new RedisReader();
    const head = latin('*3\r\n$3\r\nSET\r\n$1\r\na\r\n$500000000\r\nxx');
    expect(reader.look(head, 0, head.length)).toBe('known');
    expect(reader.command).toEqual({ name: 'set', keys: ['a'], login: null, isUnclear: false });
    expect(reader.pass(head, reader.at, head.length)).toBe(head.length);
    expect(reader.passed).toBe(false);
  });

  it('is the same however the stream is cut', () => {
    const word = fc.oneof(
      // Not HELLO: with words of chance behind it, whom it logs in cannot be told, and it ends the connection.
      fc.constantFrom('GET', 'SET', 'MSET', 'EVAL', 'XREAD', 'STREAMS', 'AUTH', 'CONFIG', '2', '0', 'a\r\n'),
      fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    );
    const command = fc.array(word, { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(
        fc.array(command, { minLength: 1, maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
        (list, cuts) => {
          const parts = list.map((words) => array(...words));
          const stream = Buffer.concat(parts);
          const whole = commandsOf(stream);
          expect(whole.filter((each) => /^\d+$/.test(each)).map(Number)).toEqual(parts.map((part) => part.length));
          expect(commandsOf(stream, cuts)).toEqual(whole);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('never throws, whatever the bytes', () => {
    const piece = fc.constantFrom(
      '*1\r\n',
      '*3\r\n',
      '$3\r\nGET\r\n',
      '$1\r\na\r\n',
      'PING\r\n',
      '\r\n',
      '*',
      '$',
      '-1',
      '\0',
      '"',
      '\xff',
    );
    const stream = fc.array(fc.oneof(piece, fc.string()), { maxLength: 12 }).map((parts) => latin(parts.join('')));
    fc.assert(
      fc.property(stream, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (bytes, cuts) => {
        const found = commandsOf(bytes, cuts);
        expect(found).toEqual(commandsOf(bytes));
      }),
      { numRuns: 3_000 },
    );
  });
});

/** Each end that a server's stream has: what it was, its first byte, where. */
function endsOf(text: string, size = text.length): string[] {
  const replies = new RedisReplies();
  const found: string[] = [];
  for (let from = 0; from < text.length; from += size) {
    const bytes = latin(text.slice(from, from + size));
    let at = 0;
    for (;;) {
      const end = replies.next(bytes, at, bytes.length);
      at = replies.at;
      if (end === 'more') break;
      if (end === 'fault') return [...found, 'fault'];
      found.push(`${end} ${String.fromCharCode(replies.first)} ${from + at}`);
    }
  }
  return found;
}

describe('the replies of a server', () => {
  it.each([
    ['a status', '+OK\r\n', ['reply + 5']],
    ['an error and a number', '-ERR x\r\n:12\r\n', ['reply - 8', 'reply : 13']],
    ['a string with a line end in it', '$4\r\na\r\nb\r\n', ['reply $ 10']],
    ['nulls', '$-1\r\n*-1\r\n_\r\n', ['reply $ 5', 'reply * 10', 'reply _ 13']],
    ['arrays in arrays', '*2\r\n*2\r\n:1\r\n:2\r\n*0\r\n+OK\r\n', ['reply * 20', 'reply + 25']],
    [
      'the types of RESP3',
      '#t\r\n,1.5\r\n(123\r\n=7\r\ntxt:abc\r\n!3\r\nERR\r\n',
      ['reply # 4', 'reply , 10', 'reply ( 16', 'reply = 29', 'reply ! 38'],
    ],
    ['a map and a set', '%1\r\n+a\r\n:1\r\n~2\r\n:1\r\n:2\r\n', ['reply % 12', 'reply ~ 24']],
    ['a push between two replies', '+a\r\n>2\r\n+message\r\n+x\r\n+b\r\n', ['reply + 4', 'push > 22', 'reply + 26']],
    ['an attribute, which is part of what follows', '|1\r\n+ttl\r\n:1\r\n:5\r\n', ['reply : 18']],
    ['an attribute within an array', '*2\r\n|1\r\n+a\r\n+b\r\n:1\r\n:2\r\n', ['reply * 24']],
    ['nothing that there is', 'HTTP/1.1 400\r\n', ['fault']],
    ['a length that is none', '$x\r\n', ['fault']],
    ['too deep', '*1\r\n'.repeat(70), ['fault']],
  ])('%s', (_what, text, expected) => {
    expect(endsOf(text)).toEqual(expected);
    for (let size = 1; size < text.length; size++) expect(endsOf(text, size)).toEqual(expected);
  });

  it('never throw, whatever the bytes', () => {
    const piece = fc.constantFrom('*2\r\n', '$3\r\n', 'abc\r\n', '+OK\r\n', '>1\r\n', '|1\r\n', '%2\r\n', '\n', '$', '-1\r\n', '_\r\n');
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 15 }), fc.integer({ min: 1, max: 7 }), (parts, size) => {
        const text = latin(parts.join('')).toString('latin1');
        expect(endsOf(text, size)).toEqual(endsOf(text));
      }),
      { numRuns: 3_000 },
    );
  });
});

it('an error cannot be broken into two lines', () => {
  expect(errorReply('NOPERM', 'a\r\n+OK').toString()).toBe('-NOPERM a  +OK\r\n');
});
