/** Long runs that the tests only try for seconds: `npm run soak -- flips --seconds 600`. */
import { Command } from 'commander';
import { flips } from './flips.ts';
import { reloads } from './reloads.ts';

const program = new Command('soak').description('Runs that take minutes, for what shows only then.');

program
  .command('flips')
  .description('live flows of every kind while the policy flips at random')
  .option('--seconds <number>', 'how long', Number, 180)
  .option('--seed <number>', 'repeats a run', Number, Math.floor(Math.random() * 2 ** 31))
  .option('--flows <number>', 'how many flows, each from an address of its own', Number, 200)
  .option('--workers <number>', 'threads that carry traffic', Number, 2)
  .action(async (options: { seconds: number; seed: number; flows: number; workers: number }) => {
    console.error(`seed ${options.seed}`);
    const report = await flips({ ...options, progress: (line) => console.error(line) });
    console.log(JSON.stringify({ seed: options.seed, ...report }, null, 2));
    process.exitCode = report.faults.length === 0 ? 0 : 1;
  });

program
  .command('reloads')
  .description('requests without a pause while the file changes: by signal, by order, and by processes that follow one another')
  .option('--seconds <number>', 'how long', Number, 180)
  .option('--takeover-every <number>', 'changes from one new process to the next; 0 for none', Number, 10)
  .action(async (options: { seconds: number; takeoverEvery: number }) => {
    const report = await reloads({ ...options, progress: (line) => console.error(line) });
    console.log(JSON.stringify(report, null, 2));
    process.exitCode = report.faults.length === 0 ? 0 : 1;
  });

await program.parseAsync();
