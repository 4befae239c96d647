import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { bulkhead, ROOT } from './bulkhead.ts';

const ABSENT = 'test/commands/no-such-file.yaml';

/** What ends with status 2: the arguments, and what the one line on standard error says. */
const WRONG: readonly (readonly [string, RegExp])[] = [
  ['frobnicate', /unknown command 'frobnicate'/],
  ['chekc', /did you mean check/i],
  ['reload', /^bulkhead: unknown command 'reload': a running node reads its file again on SIGHUP, and bulkhead apply FILE/],
  ['Validate x.yaml', /bulkhead check FILE does that/],
  ['start', /bulkhead run FILE does that/],
  ['serve x.yaml --port 80', /bulkhead run FILE does that/],
  ['stop', /SIGTERM drains and ends/],
  ['logs -f', /bulkhead flows --follow/],
  ['--frobnicate', /unknown option '--frobnicate'.*bulkhead --help/],
  ['check', /missing required argument 'file'.*bulkhead check --help/],
  ['check a.yaml b.yaml', /too many arguments/],
  ['check a.yaml --jsn', /unknown option '--jsn'.*--json.*bulkhead check --help/],
  [`check ${ABSENT}`, /no-such-file\.yaml/],
  [`run ${ABSENT}`, /no-such-file\.yaml/],
  [`run ${ABSENT} --drain soon`, /--drain "soon" is not a duration/],
  [`run ${ABSENT} --workers many`, /--workers "many" is not a number/],
  [`run ${ABSENT} --workers 0`, /--workers "0" is not a number/],
  [`explain ${ABSENT} --from 127.0.0.1 --to 127.0.0.1:80`, /no-such-file\.yaml/],
  [`explain ${ABSENT} --batch`, /no-such-file\.yaml/],
  ['explain config/bulkhead.yaml', /say which flow: --from and --to, or --batch/],
  ['explain config/bulkhead.yaml --from 127.0.0.1', /to is missing/],
  ['explain config/bulkhead.yaml --from 127.0.0.1/8 --to 127.0.0.1:80', /is a network\. Write a single address/],
  ['explain config/bulkhead.yaml --from 127.0.0.1 --to 127.0.0.1', /has no port/],
  ['explain config/bulkhead.yaml --from 127.0.0.1 --to 127.0.0.1:80 --protocol htpp', /"protocol" must be one of .*http/],
  ['explain config/bulkhead.yaml --batch --from 127.0.0.1', /--batch .*standard input/],
  ['explain 01RECEIPT --admin http://127.0.0.1:1', /no answer from http:\/\/127\.0\.0\.1:1 \(ECONNREFUSED\)/],
  ['explain 01RECEIPT --admin nowhere', /--admin "nowhere" is not an http address/],
];

describe('wrong usage', () => {
  it.each(WRONG)('bulkhead %s', { concurrent: true }, async (words, message) => {
    const { status, stdout, stderr } = await bulkhead(words.split(' '));
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^bulkhead: [^\n]+\n$/);
    expect(stdout).toBe('');
    expect(status).toBe(2);
  });

  it('without a word is answered by the help, on standard error', async () => {
    const { status, stdout, stderr } = await bulkhead([]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('Usage: bulkhead');
  });
});

describe('help', () => {
  it.each(['--help', 'help', 'run --help', 'check --help', 'explain --help', 'schema --help', 'demo --help', 'help explain'])(
    'bulkhead %s',
    { concurrent: true },
    async (words) => {
      const { status, stdout, stderr } = await bulkhead(words.split(' '));
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: bulkhead/);
    },
  );

  it.each(['--help', 'run --help', 'apply --help', 'explain --help', 'flows --help', 'export --help'])(
    'bulkhead %s has no line of prose wider than 80 columns',
    { concurrent: true },
    async (words) => {
      const { stdout } = await bulkhead(words.split(' '));
      // An example may be longer: it is one line to copy.
      expect(stdout.split('\n').filter((line) => line.length > 80 && !/^ {2}\S/.test(line))).toEqual([]);
    },
  );

  it('names every command with what it does, and the exit statuses', async () => {
    const { stdout } = await bulkhead(['--help']);
    for (const command of ['run', 'check', 'explain', 'schema', 'demo']) expect(stdout).toMatch(new RegExp(`^  ${command} .*\\w`, 'm'));
    expect(stdout).toContain('Exit status: 0 yes, 1 no');
  });

  it('is printed by the installed command, from any folder', async () => {
    const installed = join(ROOT, 'node_modules/.bin/bulkhead');
    const { stdout } = await promisify(execFile)(installed, ['--help'], { cwd: tmpdir() });
    expect(stdout).toMatch(/^Usage: bulkhead/);
  });

  it('prints the version', async () => {
    expect(await bulkhead(['--version'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});
