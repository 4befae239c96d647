/** Words that other programs have for what is done here by another word, or by a signal: the nearest spelling would be another command. */

/** By the word that was typed, in lower case: what to do instead, as the end of a sentence. */
const WORDS: Readonly<Record<string, string>> = {
  reload: 'a running node reads its file again on SIGHUP, and bulkhead apply FILE brings any file into force',
  ...all('validate verify test lint configtest', 'bulkhead check FILE does that'),
  ...all('start serve up daemon proxy', 'bulkhead run FILE does that'),
  ...all('stop shutdown quit', 'a node that gets SIGTERM drains and ends'),
  restart: 'bulkhead run FILE --takeover follows the running process without a lost connection',
  ...all('logs log tail connections conns sessions', 'bulkhead flows --follow shows flows as they end'),
  ...all('stats metrics info health', 'bulkhead status says how the node is, and its admin endpoint has /metrics'),
  ...all('history revisions', 'bulkhead versions lists what was in force'),
  ...all('undo revert', 'bulkhead rollback brings an earlier version back'),
  ...all('load deploy update set push', 'bulkhead apply FILE brings a file into force'),
  ...all('plan compare', 'bulkhead diff OLD NEW says what a change means, and bulkhead apply FILE --dry-run what it would do'),
  ...all('block ban deny', 'bulkhead quarantine ADDRESS --for 1h --reason "..." cuts a source off'),
  ...all('unblock unban', 'bulkhead release ADDRESS ends a quarantine'),
  ...all('drain enable disable maintenance', 'bulkhead server drain POOL/ADDRESS takes a server out, and bulkhead server up back in'),
  ...all('why trace query', 'bulkhead explain FILE --from IP --to IP:PORT says it'),
  ...all('show get dump config', 'bulkhead print FILE prints a file as it was understood, and bulkhead status how the node is'),
  version: 'bulkhead --version prints it, and bulkhead versions lists the versions of the policy',
  ...all('format fmt', 'bulkhead print FILE prints a file in normal form'),
};

/** What to do instead of a word that is no command here; undefined where nothing is known of it. */
export function elsewhereWord(word: string): string | undefined {
  const key = word.toLowerCase();
  return Object.hasOwn(WORDS, key) ? WORDS[key] : undefined;
}

function all(words: string, instead: string): Record<string, string> {
  return Object.fromEntries(words.split(' ').map((word) => [word, instead]));
}
