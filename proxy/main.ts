/** The bulkhead command: its words, their help, and how it ends. What a command does is loaded only when it is called. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { elsewhereWord } from './commands/elsewhere-words.ts';
import { CommandError, EXIT, endQuietlyOnBrokenPipe } from './commands/exit.ts';
import { describeNodeCommands, describeReach } from './commands/node-words.ts';
import { reflowed } from './commands/width.ts';

const EXIT_HELP = '\nExit status: 0 yes, 1 no (a check failed, a flow is denied), 2 wrong usage or a file that cannot be read.';

endQuietlyOnBrokenPipe();
process.exitCode = await runCommandLine(process.argv.slice(2));

/** Returns the exit status. Whatever goes wrong is said in one line on standard error. */
async function runCommandLine(words: readonly string[]): Promise<number> {
  let status: number = EXIT.yes;
  const program = describeProgram((result) => {
    status = result;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommandError) {
      process.stderr.write(`bulkhead: ${error.message}\n`);
      return error.exitStatus;
    }
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.yes;
    // Without a word the help was written already.
    if (error.code === 'commander.help') return EXIT.wrong;
    const named = program.commands.some((command) => command.name() === words[0]);
    const instead = error.code === 'commander.unknownCommand' ? elsewhereWord(words[0] ?? '') : undefined;
    if (instead !== undefined) {
      process.stderr.write(`bulkhead: unknown command '${words[0]}': ${instead}; see bulkhead --help\n`);
      return EXIT.wrong;
    }
    const message = error.message
      .replace(/^error: /, '')
      .replace(/\n+/g, ' ')
      .trim();
    process.stderr.write(`bulkhead: ${message}; see bulkhead ${named ? `${words[0]} ` : ''}--help\n`);
    return EXIT.wrong;
  }
}

function describeProgram(end: (status: number) => void): Command {
  const program = new Command('bulkhead')
    .description('A userspace load balancer and segmenting proxy: every flow is asked of the policy before a server is dialled.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .exitOverride()
    .configureOutput({
      outputError: () => {},
      writeOut: (text) => process.stdout.write(reflowed(text)),
      writeErr: (text) => process.stderr.write(reflowed(text)),
    })
    .addHelpText('after', `${EXIT_HELP}\n\nbulkhead COMMAND --help tells the rest, with examples. Start with: bulkhead demo`);

  program
    .command('run')
    .helpGroup('Running one:')
    .argument('<file>', 'the YAML file, or a folder of *.yaml')
    .description('carry traffic until SIGTERM or SIGINT, which drain; SIGHUP reloads the file')
    .option('--drain <duration>', 'how long live flows may take to end after SIGTERM', '30s')
    .option('--workers <count>', 'threads that carry traffic, whatever the file says')
    .option('--takeover', 'take over from the process that owns the state folder, which then drains')
    .addHelpText('after', runHelp())
    .action(async (file, options) => end(await (await import('./commands/run.ts')).run(file, options)));

  program
    .command('check')
    .helpGroup('Policies as files:')
    .argument('<file>', 'the YAML file, or a folder of *.yaml')
    .description("parse, compile and lint the file, and run the file's tests")
    .option('--coverage', 'tell which rules no test reaches')
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', checkHelp())
    .action(async (file, options) => end(await (await import('./commands/check.ts')).check(file, options)));

  describeReach(
    program
      .command('explain')
      .helpGroup('Policies as files:')
      .argument('<file-or-receipt>', 'the policy to ask: a file or folder, in-force, or version:3; or the receipt of a flow that happened')
      .description('say whether a flow is allowed, by which rule, and what would have allowed it')
      .option('--from <ip>', 'address of the source')
      .option('--to <ip:port>', 'the VIP')
      .option('--protocol <name>', 'what the flow speaks: http, tls, postgres, ...')
      .option('--over <protocol>', 'websocket: h2, where it is not carried by HTTP/1.1')
      .option('--method <method>', 'http: the method of the request')
      .option('--host <host>', 'http: the host of the request')
      .option('--path <path>', 'http: the path of the request')
      .option('--header <name: value...>', 'http: a field of the request')
      .option('--sni <name>', 'TLS: the server name that the client asks for')
      .option('--alpn <name...>', 'TLS: a protocol that the client offers')
      .option('--ja4 <fingerprint>', 'TLS: the JA4 fingerprint of the ClientHello')
      .option('--identity <kind:name...>', 'who the client has proved to be, such as spiffe://example.org/web or cn:ana')
      .option('--user <name>', 'postgres, mysql, redis: the user')
      .option('--database <name>', 'postgres: the database')
      .option('--schema <name>', 'mysql: the schema')
      .option('--command <name>', 'redis: the command, such as get or "config set"')
      .option('--key <key...>', 'redis: a key of the command')
      .option('--at <moment>', 'the moment of the flow, such as 2026-12-31T18:00:00+01:00; now, where it is not said')
      .option('--batch', 'read flows as JSON lines on standard input, write one verdict a line, in order')
      .option('--json', 'print the verdict as JSON'),
  )
    .addHelpText('after', explainHelp())
    .action(async (subject, options) => end(await (await import('./commands/explain.ts')).explainCommand(subject, options)));

  describeReach(
    program
      .command('diff')
      .helpGroup('Policies as files:')
      .argument('<old>', 'the policy as it is: a file or folder, in-force, or version:3')
      .argument('<new>', 'the policy as it would be: the same')
      .description('say what a change means: which flows gain or lose access, each with a witness')
      .option('--rules', 'tell also where another rule gives the same verdict')
      .option('--json', 'print the groups as JSON'),
  )
    .addHelpText('after', diffHelp())
    .action(async (old, next, options) => end(await (await import('./commands/diff.ts')).diff(old, next, options)));

  program
    .command('print')
    .helpGroup('Policies as files:')
    .argument('<file>', 'the YAML file, or a folder of *.yaml')
    .description('print the file as it was understood, in normal form and with the same meaning')
    .option('--json', 'print JSON instead of YAML')
    .addHelpText('after', '\nExample:\n  bulkhead print policy.d > policy.yaml\n\nVariables are filled in; comments are not kept.')
    .action(async (file, options) => end((await import('./commands/print.ts')).printFile(file, options)));

  program
    .command('export')
    .helpGroup('Policies as files:')
    .argument('<file>', 'the YAML file, or a folder of *.yaml')
    .description('print the part of the policy that another system can express, never wider than the policy')
    .option('--to <target>', 'nftables or kubernetes')
    .option('--allow-empty', 'end with 0 also where an application is left that nobody could reach')
    .addHelpText('after', exportHelp())
    .action(async (file, options) => end((await import('./commands/export.ts')).exportFile(file, options)));

  program
    .command('schema')
    .helpGroup('Policies as files:')
    .description('print the JSON Schema of the file, for editors, or the reference of its keys, for people')
    .option('--json', 'print JSON, as it does anyway')
    .option('--text', 'print every key with its type, bounds, default, meaning and an example, as Markdown')
    .addHelpText('after', '\nExamples:\n  bulkhead schema > bulkhead.schema.json\n  bulkhead schema --text | less')
    .action(async (words) => end((await import('./commands/schema.ts')).schema(words)));

  program
    .command('demo')
    .helpGroup('Running one:')
    .description('run config/bulkhead.yaml on loopback with small backends of its own, and say what to try')
    .addHelpText('after', '\nExample:\n  npm start\n\nIt stops on Ctrl-C.')
    .action(async () => end(await (await import('./commands/demo.ts')).demo()));

  describeNodeCommands(program, end);
  return program;
}

function runHelp(): string {
  return `
Examples:
  bulkhead run bulkhead.yaml
  bulkhead run bulkhead.yaml --drain 5s --workers 2
  bulkhead run bulkhead.yaml --takeover     a new process follows the running one, without a lost connection

SIGUSR2 starts such a follower by itself. SIGHUP applies the file again, whole or not at all: with any error the policy in force stays in force.
Exit status: 0 stopped as it was told, 1 could not start, 2 wrong usage or a file that cannot be read.`;
}

function checkHelp(): string {
  return `
Examples:
  bulkhead check bulkhead.yaml
  bulkhead check bulkhead.yaml --json | jq .problems

Exit status: 0 the file can be applied, 1 it cannot (an error, or a test that fails), 2 wrong usage or a file that cannot be read.`;
}

function diffHelp(): string {
  return `
Examples:
  bulkhead diff bulkhead.yaml proposed.yaml
  git show HEAD:bulkhead.yaml > before.yaml; bulkhead diff before.yaml bulkhead.yaml
  bulkhead diff in-force bulkhead.yaml     # what applying the file would change on the running node
  bulkhead diff version:3 in-force         # what has changed since

Where one of the two is in force, the quarantines of the node are taken to hold on both sides.
Verdicts are compared, for every source, VIP, protocol and request; pools, timeouts and the limits of applications are not.
Exit status: 0 no difference in meaning, 1 a difference, 2 wrong usage or a file that cannot be read.`;
}

function exportHelp(): string {
  return `
Example:
  bulkhead export bulkhead.yaml --to nftables > bulkhead.nft

What is left out is said in comments of the export.
Exit status: 0 exported, 1 exported, but somebody could reach an application by the policy and nobody could by the export (--allow-empty: 0),
2 wrong usage or a file that cannot be read.`;
}

function explainHelp(): string {
  return `
Examples:
  bulkhead explain bulkhead.yaml --from 198.51.100.7 --to 127.0.0.1:8080 --protocol http --path /admin/x
  echo '{"from":"198.51.100.7","to":"127.0.0.1:8080","protocol":"http"}' | bulkhead explain bulkhead.yaml --batch
  bulkhead explain in-force --from 198.51.100.7 --to 127.0.0.1:8080
  bulkhead explain RECEIPT
  bulkhead explain RECEIPT --admin unix:/run/bulkhead.sock

What is in force is asked as the node enforces it now, with the quarantines and the servers set apart that hold beside its document.
A line of a batch is an object with from and to, and where they matter protocol, over, method, host, path, headers and at. A bad line is answered
by { "error": ... } in its place.
Exit status: 0 allowed, 1 denied, 2 wrong usage or a file that cannot be read. A batch: 0 every line was answered, 2 a line was bad.
A receipt: 0 the flow was found, whatever its verdict, 2 it was not.`;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
