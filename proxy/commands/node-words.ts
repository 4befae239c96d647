/** The words of the commands that speak to a running node, with their help. What a command does is loaded only when it is called. */
import type { Command } from 'commander';

const ADMIN_HELP = `
The node is found at --admin, at BULKHEAD_ADMIN, or at http://127.0.0.1:9900; unix:/run/bulkhead.sock names a unix socket.
Over https its certificate is always verified: against --ca, BULKHEAD_CA, or the authorities that Node brings.
What changes something takes a token (--token-file, or BULKHEAD_TOKEN), but over a unix socket.`;
const EXIT_HELP = '\nExit status: 0 done, 1 the node refuses or says no, 2 wrong usage, or no node answers.';

const WIDE = 'every column with its whole text, whatever the terminal has room for; piped output is so anyway';

/** The options that say which node is asked, and how it is believed. */
export function describeReach(command: Command): Command {
  return command
    .optionsGroup('Reaching the node:')
    .option('--admin <url>', 'its admin endpoint: http://127.0.0.1:9900, https://HOST:PORT or unix:PATH')
    .option('--ca <file>', 'over https: the authorities in PEM that may have signed its certificate')
    .option('--token-file <file>', 'a file that holds the token')
    .optionsGroup('');
}

/** Adds them to the program; `end` takes the exit status of the one that runs. */
export function describeNodeCommands(program: Command, end: (status: number) => void): void {
  const asked: Command[] = [];
  const asking = (name: string, about: string, examples: readonly string[], more = ''): Command => {
    const lines = examples.map((example) => `  ${example}`).join('\n');
    const command = program
      .command(name)
      .helpGroup('A running node:')
      .description(about)
      .addHelpText('after', `\nExamples:\n${lines}\n${more}${ADMIN_HELP}${EXIT_HELP}`);
    asked.push(command);
    return command;
  };

  asking(
    'apply',
    'bring a file into force on a running node, or say what it would do',
    [
      'bulkhead apply bulkhead.yaml --dry-run',
      'bulkhead apply bulkhead.yaml --note "office may reach the shop" --generation 12',
      'bulkhead apply bulkhead.yaml --confirm 60s   # then, when all is well: bulkhead apply --confirm-now',
      'bulkhead apply bulkhead.yaml --guard',
    ],
    '\nFlows that the file no longer allows end at once, or as the on-revoke of their rule says; all others are left alone. Quarantines and server states stay as they are.\n',
  )
    .argument('[file]', 'the YAML file, or a folder of *.yaml')
    .option('--dry-run', 'change nothing; say which live flows would end, and which of the last hour would have been denied')
    .option('--confirm <duration>', 'take it back after this long, unless --confirm-now is said before')
    .option('--confirm-now', 'confirm what was applied with --confirm')
    .option('--guard [rise]', 'take it back by itself where denials, dial failures or 5xx rise by more than this share (5%)')
    .option('--guard-for <duration>', 'how long the guard stands (60s)')
    .option('--note <text>', 'why, for the list of versions')
    .option('--generation <number>', 'only if this generation is in force still')
    .action(async (file, words) => end(await (await import('./apply.ts')).apply(file, words)));

  asking('rollback', 'bring an earlier version into force again', [
    'bulkhead rollback',
    'bulkhead rollback 12 --note "the new rules cut the office off"',
  ])
    .argument('[version]', 'its number; without one, the version before this document')
    .option('--note <text>', 'why, for the list of versions')
    .option('--generation <number>', 'only if this generation is in force still')
    .action(async (version, words) => end(await (await import('./rollback.ts')).rollback(version, words)));

  asking('versions', 'list what was in force, by whom and when', ['bulkhead versions', 'bulkhead versions 12 > was.yaml'])
    .argument('[version]', 'print the text of this one')
    .option('--limit <count>', 'how many at most', '20')
    .option('--wide', WIDE)
    .action(async (version, words) => end(await (await import('./versions.ts')).versions(version, words)));

  asking(
    'flows',
    'show live flows, ended ones or denials',
    [
      'bulkhead flows --application shop',
      'bulkhead flows --denied --source 198.51.100.0/24 --since 15m',
      'bulkhead flows --rule customers --since 2026-12-31T18:00:00Z --until 2026-12-31T18:05:00Z --limit 1000',
      'bulkhead flows --follow --denied --json | jq .receipt',
    ],
    '\nWithout --ended or --denied it shows live flows; --verdict, --since and --until ask the journal, as --ended does. Newest first.\n',
  )
    .option('--follow', 'print flows as they end, and changes of policy, until Ctrl-C')
    .option('--denied', 'only denials')
    .option('--ended', 'flows that ended, from the journal')
    .option('--verdict <verdict>', 'only with this verdict: allow, deny, would_deny, none (the bytes were no request)')
    .option('--application <name>', 'only of this application')
    .option('--source <address>', 'only from this address or prefix')
    .option('--rule <name>', 'only decided by this rule')
    .option('--since <moment>', 'only those that began then or later: 2026-12-31T18:00:00Z, or how long ago, such as 15m')
    .option('--until <moment>', 'only those that began before')
    .option('--limit <count>', 'how many at most, up to 100000', '50')
    .option('--wide', WIDE)
    .action(async (words) => end(await (await import('./flows.ts')).flows(words)));

  asking(
    'top',
    'watch the busiest applications and flows',
    ['bulkhead top', 'bulkhead top --sort denials'],
    '\nIn a terminal: b, r and d sort by bytes, rate and denials; q quits. Elsewhere it prints one reading.\n',
  )
    .option('--sort <by>', 'bytes, rate or denials', 'bytes')
    .action(async (words) => end(await (await import('./top.ts')).top(words)));

  asking(
    'status',
    'say how the node is',
    ['bulkhead status', 'bulkhead status --json | jq .generation'],
    '\nExit status 1 where the node is not ready.\n',
  )
    .option('--wide', WIDE)
    .action(async (words) => end(await (await import('./status.ts')).status(words)));

  asking('audit', 'show who ordered what, or verify that nothing of it was changed', [
    'bulkhead audit',
    'bulkhead audit --verify',
    'bulkhead audit --verify --state ./state',
  ])
    .option('--verify', 'follow the chain of hashes; exit status 1 and the first broken entry where it does not hold')
    .option('--state <folder>', 'read the state folder itself, without the node')
    .option('--limit <count>', 'how many at most', '20')
    .option('--wide', WIDE)
    .action(async (words) => end(await (await import('./audit.ts')).audit(words)));

  asking('quarantine', 'cut a source off at once, above every rule but the cluster lane', [
    'bulkhead quarantine 198.51.100.7 --for 1h --reason "scans the shop"',
    'bulkhead quarantine guests --for 30m --reason "worm"',
    'bulkhead quarantine',
  ])
    .argument('[source]', 'an address, a prefix or a segment; without one, those in force are listed')
    .option('--for <duration>', 'how long: 30m, 1h, 7d')
    .option('--reason <text>', 'why')
    .option('--dry-run', 'change nothing; say which live flows would end')
    .option('--yes', 'also where it is more than a /8 of IPv4 or a /32 of IPv6')
    .action(async (source, words) => end(await (await import('./quarantine.ts')).quarantine(source, words)));

  asking('release', 'end a quarantine before its time', ['bulkhead release quarantine-14', 'bulkhead release 198.51.100.7'])
    .argument('<quarantine>', 'its name, or its source')
    .action(async (name, words) => end(await (await import('./quarantine.ts')).release(name, words)));

  asking(
    'server',
    'take a server out of the balancing, or back',
    ['bulkhead server drain web/127.0.0.1:9001', 'bulkhead server up web/127.0.0.1:9001', 'bulkhead server'],
    '\ndrain: no new flows; maintenance: no new flows and no checks; up: as the file says. It holds through changes of the file.\n',
  )
    .argument('[state]', 'drain, maintenance or up; without one, servers set apart are listed')
    .argument('[server]', 'POOL/ADDRESS')
    .action(async (state, name, words) => end(await (await import('./server.ts')).server(state, name, words)));

  // Last, so that the help of a command begins with what is its own.
  for (const command of asked) describeReach(command.option('--json', 'print JSON'));

  // Of these, and of help, which is made by itself.
  program.commandsGroup('Setting up:');
  program
    .command('token')
    .argument('<name>', 'whose it is: audit and versions tell this name')
    .description('make a token for the admin endpoint, and the line that the file needs for it')
    .option('--role <role>', 'viewer, operator (servers, quarantines, rollback, confirm) or admin (documents, too)', 'viewer')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  bulkhead token ana --role admin')
    .action(async (name, words) => end((await import('./token.ts')).token(name, words)));

  program
    .command('completion')
    .argument('<shell>', 'bash, zsh or fish')
    .description('print what a shell needs to complete these words')
    .addHelpText('after', '\nExamples:\n  source <(bulkhead completion bash)\n  bulkhead completion fish | source')
    .action(async (shell) => end((await import('./completion.ts')).completion(shell, program)));
}
