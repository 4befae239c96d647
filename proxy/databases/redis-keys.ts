/** Which arguments of a command of Redis are keys (Redis 7.4, "Key specifications"). A command that is not known here has nothing but keys. */

export interface RedisCommand {
  /** Lower case; a subcommand stands behind `|`. */
  readonly name: string;
  readonly keys: readonly string[];
  /** Who it logs in as; null for a command that logs nobody in. */
  readonly login: string | null;
  /** It may be one that logs in, but as whom depends on how a server reads it. */
  readonly isUnclear: boolean;
}

/** From the first to the last argument that is a key (negative: from the end), in steps. The name is argument 0. */
type Positions = readonly [first: number, last: number, step: number];
/** The number of keys stands in argument `countAt`, the keys begin behind it; `before` lists keys that stand elsewhere. */
interface Counted {
  readonly countAt: number;
  readonly before?: readonly number[];
}
/** `streams`: keys are the first half of what stands behind that word. */
type Spec = Positions | Counted | 'streams' | 'none';

const ONE: Positions = [1, 1, 1];
const TWO: Positions = [1, 2, 1];
const ALL: Positions = [1, -1, 1];
const BUT_LAST: Positions = [1, -2, 1];

const SPECS = new Map<string, Spec>();

function add(spec: Spec, names: string): void {
  for (const name of names.split(' ')) SPECS.set(name, spec);
}

add(
  ONE,
  'get set setnx setex psetex getset getdel getex append strlen incr decr incrby decrby incrbyfloat getrange setrange substr getbit setbit bitcount bitpos bitfield bitfield_ro ' +
    'type ttl pttl expire pexpire expireat pexpireat expiretime pexpiretime persist dump restore move ' +
    'lpush rpush lpushx rpushx lpop rpop llen lrange lindex linsert lset lrem ltrim lpos ' +
    'sadd srem scard sismember smismember smembers spop srandmember sscan ' +
    'zadd zrem zscore zmscore zincrby zcard zcount zlexcount zrange zrangebyscore zrangebylex zrevrange zrevrangebyscore zrevrangebylex zrank zrevrank zremrangebyrank zremrangebyscore ' +
    'zremrangebylex zpopmin zpopmax zrandmember zscan ' +
    'hset hsetnx hget hmset hmget hdel hlen hstrlen hexists hkeys hvals hgetall hincrby hincrbyfloat hscan hrandfield hexpire hpexpire hexpireat hpexpireat hpersist httl hpttl hexpiretime hpexpiretime ' +
    'pfadd geoadd geohash geopos geodist geosearch georadius_ro georadiusbymember_ro ' +
    'xadd xlen xrange xrevrange xtrim xdel xack xclaim xautoclaim xpending xsetid',
);
add(TWO, 'rename renamenx copy rpoplpush brpoplpush lmove blmove smove zrangestore geosearchstore lcs');
add(ALL, 'del unlink exists touch mget watch sdiff sinter sunion sdiffstore sinterstore sunionstore pfcount pfmerge');
add(BUT_LAST, 'blpop brpop bzpopmin bzpopmax');
add([1, -1, 2], 'mset msetnx');
add([2, -1, 1], 'bitop');
add([2, 2, 1], 'memory|usage');
add(
  [2, 2, 1],
  'object|encoding object|freq object|idletime object|refcount xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid xinfo|stream xinfo|groups xinfo|consumers',
);
add({ countAt: 2 }, 'eval evalsha eval_ro evalsha_ro fcall fcall_ro blmpop bzmpop');
add({ countAt: 1 }, 'lmpop zmpop sintercard zinter zunion zdiff zintercard');
add({ countAt: 2, before: [1] }, 'zinterstore zunionstore zdiffstore');
add('streams', 'xread xreadgroup');
// SORT and the old GEORADIUS may name further keys behind words (STORE, BY, GET), so they are left unknown: all of their arguments count.
add(
  'none',
  'ping echo auth hello select quit reset command command|count command|docs command|info command|list command|getkeys command|getkeysandflags dbsize lastsave role time wait waitaof info lolwut randomkey ' +
    'scan keys multi exec discard unwatch readonly readwrite asking save bgsave bgrewriteaof flushall flushdb swapdb shutdown replicaof slaveof sync psync replconf failover monitor ' +
    'subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe publish spublish pubsub|channels pubsub|numsub pubsub|numpat pubsub|shardchannels pubsub|shardnumsub ' +
    'client|caching client|getname client|getredir client|id client|info client|kill client|list client|no-evict client|no-touch client|pause client|reply client|setinfo client|setname client|tracking ' +
    'client|trackinginfo client|unblock client|unpause config|get config|set config|rewrite config|resetstat acl|cat acl|deluser acl|dryrun acl|genpass acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users acl|whoami ' +
    'script|load script|exists script|flush script|kill script|debug function|load function|list function|delete function|dump function|flush function|kill function|restore function|stats ' +
    'slowlog|get slowlog|len slowlog|reset latency|doctor latency|graph latency|histogram latency|history latency|latest latency|reset memory|doctor memory|malloc-stats memory|purge memory|stats ' +
    'module|list module|load module|loadex module|unload cluster|info cluster|nodes cluster|slots cluster|shards cluster|myid cluster|myshardid cluster|keyslot cluster|countkeysinslot',
);

/** Commands whose first argument says what they do. */
const CONTAINERS: ReadonlySet<string> = new Set(
  'acl client cluster command config debug function latency memory module object pubsub script slowlog xgroup xinfo'.split(' '),
);

function fold(word: Buffer | undefined): string {
  return word === undefined ? '' : word.toString('utf8').toLowerCase();
}

function nameOf(words: readonly Buffer[]): string {
  const name = fold(words[0]);
  return CONTAINERS.has(name) && words.length > 1 ? `${name}|${fold(words[1])}` : name;
}

/** How many of `count` arguments, the name included, have to be read before the command can be judged. More may turn out with them. */
export function argumentsNeeded(words: readonly Buffer[], count: number): number {
  const first = fold(words[0]);
  if (CONTAINERS.has(first) && words.length < 2) return 2;
  if (first === 'auth' || first === 'hello') return count;
  const spec = SPECS.get(nameOf(words));
  if (spec === undefined) return count;
  if (spec === 'none') return words.length;
  if (spec === 'streams') return count;
  if ('countAt' in spec) {
    const said = words[spec.countAt];
    if (said === undefined) return spec.countAt + 1;
    const keys = wholeNumber(said);
    return keys === null ? count : spec.countAt + 1 + keys;
  }
  return spec[1] < 0 ? count : spec[1] + 1;
}

/** The command, once so many of its `count` arguments are read. */
export function redisCommand(words: readonly Buffer[], count: number): RedisCommand {
  const name = nameOf(words);
  const login = loginOf(name, words);
  return { name, keys: keysOf(name, words, count), login: login ?? null, isUnclear: login === undefined };
}

function keysOf(name: string, words: readonly Buffer[], count: number): string[] {
  const spec = SPECS.get(name);
  const text = (at: number) => words[at]!.toString('utf8');
  const from = (first: number, end: number, step = 1) => {
    const keys: string[] = [];
    for (let i = first; i < Math.min(end, words.length); i += step) keys.push(text(i));
    return keys;
  };
  if (spec === 'none') return [];
  if (spec === undefined) return from(1, count);
  if (spec === 'streams') {
    const at = streamsAt(words);
    const behind = count - at - 1;
    // Without the word, or with a half too many, a server refuses it; until then nothing of it is innocent.
    return at < 0 || behind % 2 !== 0 ? from(1, count) : from(at + 1, at + 1 + behind / 2);
  }
  if ('countAt' in spec) {
    const keys = wholeNumber(words[spec.countAt]);
    if (keys === null || spec.countAt + 1 + keys > count) return from(1, count);
    return [...from(spec.countAt + 1, spec.countAt + 1 + keys), ...(spec.before ?? []).flatMap((at) => from(at, at + 1))];
  }
  return from(spec[0], spec[1] < 0 ? count + spec[1] + 1 : spec[1] + 1, spec[2]);
}

/** Where STREAMS stands, past options that take a value: a group may be called the same. -1: nowhere. */
function streamsAt(words: readonly Buffer[]): number {
  const takes: Record<string, number> = { group: 2, count: 1, block: 1, noack: 0 };
  for (let i = 1; i < words.length; i++) {
    const word = fold(words[i]);
    if (word === 'streams') return i;
    if (!Object.hasOwn(takes, word)) return -1;
    i += takes[word]!;
  }
  return -1;
}

function wholeNumber(word: Buffer | undefined): number | null {
  const text = word?.toString('latin1') ?? '';
  return /^(?:0|[1-9][0-9]{0,6})$/.test(text) ? Number(text) : null;
}

/**
 * `AUTH password`, `AUTH user password`, `HELLO [version [AUTH user password] [SETNAME name]]`. undefined where it cannot be told: of an option that is
 * repeated a server takes the last, and what follows one that it alone knows may mean anything.
 */
function loginOf(name: string, words: readonly Buffer[]): string | null | undefined {
  if (name === 'auth') return words.length >= 3 ? words[1]!.toString('utf8') : 'default';
  if (name !== 'hello') return null;
  const said = new Set<string>();
  let login: string | null = null;
  for (let i = 2; i < words.length; ) {
    const option = fold(words[i]);
    const taken = option === 'auth' ? 3 : option === 'setname' ? 2 : 0;
    if (taken === 0 || i + taken > words.length || said.has(option)) return undefined;
    said.add(option);
    if (option === 'auth') login = words[i + 1]!.toString('utf8');
    i += taken;
  }
  return login;
}
