/** Words that need no node: tokens and completion. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { bulkhead } from './bulkhead.ts';

const COMMANDS = [
  'apply',
  'rollback',
  'versions',
  'flows',
  'top',
  'status',
  'audit',
  'quarantine',
  'release',
  'server',
  'token',
  'completion',
];

describe('token', () => {
  it('prints a token once, and the line of the file that its hash belongs in', async () => {
    const { stdout, status } = await bulkhead(['token', 'ana', '--role', 'operator', '--json']);
    const made = JSON.parse(stdout) as { token: string; hash: string };
    expect(status).toBe(0);
    expect(made).toMatchObject({ name: 'ana', role: 'operator', token: expect.stringMatching(/^bh_[A-Za-z0-9_-]{43}$/) });
    expect(made.hash).toBe(`sha256:${createHash('sha256').update(made.token).digest('hex')}`);
    const other = await bulkhead(['token', 'ana']);
    expect(other.stdout).toMatch(/- \{ name: ana, role: viewer, hash: "sha256:[0-9a-f]{64}" \}/);
    expect(other.stdout).not.toContain(made.token);
  });

  it.each([
    [['token', 'a b'], /is not a name/],
    [['token', 'ana', '--role', 'root'], /not one of viewer, operator, admin/],
    [['completion', 'tcsh'], /"tcsh" is not one of bash, zsh, fish/],
  ])('%j is refused', async (words, message) => {
    const { status, stderr } = await bulkhead(words);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe('help', () => {
  it.each(COMMANDS)('of %s has an example', { concurrent: true }, async (command) => {
    const { status, stdout } = await bulkhead([command, '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/\nExamples?:\n {2}\S/);
  });
});

/** The longer forms that the help of a command names. */
const flagsOf = (help: string) => [...new Set([...help.matchAll(/^ {2}(?:-\w, )?(--[a-z0-9-]+)/gm)].map((match) => match[1]!))].sort();
const installed = (shell: string) => spawnSync(shell, ['--version']).error === undefined;

describe('completion', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-completion-'));
  const fileOf = (shell: string) => join(folder, shell);
  const scripts = new Map<string, string>();
  let commands: string[];

  beforeAll(async () => {
    for (const shell of ['bash', 'zsh', 'fish']) scripts.set(shell, (await bulkhead(['completion', shell])).stdout);
    const { stdout } = await bulkhead(['--help']);
    commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1]!).filter((name) => name !== 'help');
    for (const [shell, script] of scripts) writeFileSync(fileOf(shell), script);
  });

  /** What bash offers for the last of the words. */
  const complete = (words: string[]) => {
    const set = `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _bulkhead; echo "\${COMPREPLY[*]}"`;
    return spawnSync('bash', ['-c', `${scripts.get('bash')}\n${set}`], { encoding: 'utf8' }).stdout.trim();
  };

  it.each(['bash', 'zsh', 'fish'])('for %s is a good script', (shell) => {
    if (!installed(shell)) return;
    const { status, stderr } = spawnSync(shell, ['-n', fileOf(shell)], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });

  it('knows every command that the help names', () => {
    expect(commands).toEqual(expect.arrayContaining([...COMMANDS, 'run', 'check', 'explain', 'diff', 'print', 'export', 'schema', 'demo']));
    expect(complete(['bulkhead', '']).split(' ').sort()).toEqual([...commands, 'help', '--help', '--version'].sort());
  });

  it('knows every option that the help of a command names', async () => {
    const helps = await Promise.all(commands.map(async (name) => ({ name, flags: flagsOf((await bulkhead([name, '--help'])).stdout) })));
    for (const { name, flags } of helps) {
      expect([name, complete(['bulkhead', name, '--']).split(' ').sort()]).toEqual([name, flags]);
      const zsh = scripts.get('zsh')!.match(new RegExp(`^ {4}${name}\\) .*$`, 'm'))![0];
      expect([name, flags.filter((flag) => !zsh.includes(`'${flag}[`))]).toEqual([name, []]);
      const fish = scripts
        .get('fish')!
        .split('\n')
        .filter((line) => line.includes(`__fish_seen_subcommand_from ${name}'`));
      expect([name, flags.filter((flag) => !fish.some((line) => line.includes(` -l ${flag.slice(2)} `)))]).toEqual([name, []]);
    }
  });

  it.each([
    [['rol'], 'rollback'],
    [['apply', '--dry'], '--dry-run'],
    [['quarantine', '--re'], '--reason'],
    [['top', '--sort', ''], 'bytes rate denials'],
    [['flows', '--denied', '--verdict', 'w'], 'would_deny'],
    [['server', 'd'], 'drain'],
    [['explain', 'in-'], 'in-force'],
    [['explain', 'package.j'], 'package.json'],
    [['diff', 'in-force', 'package.j'], 'package.json'],
    [['apply', '--token-file', 'package.j'], 'package.json'],
    [['help', 'vers'], 'versions'],
    [['token', '--role', 'op'], 'operator'],
  ])('for bash after %j offers %s', (words, offered) => {
    expect(complete(['bulkhead', ...words])).toBe(offered);
  });

  it.skipIf(!installed('fish'))('for fish offers commands, options and values', () => {
    const offered = (line: string) => {
      const { stdout } = spawnSync('fish', ['--no-config', '-c', `source ${fileOf('fish')}; complete -C '${line}'`], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      return stdout.split('\n').map((word) => word.split('\t')[0]);
    };
    expect(offered('bulkhead rol')).toContain('rollback');
    expect(offered('bulkhead flows --ver')).toContain('--verdict');
    expect(offered('bulkhead top --sort d')).toContain('denials');
    expect(offered('bulkhead server m')).toContain('maintenance');
  });

  it.skipIf(!installed('zsh'))('for zsh offers commands, options and values', () => {
    const told = (words: string) => {
      const stand = `compdef() { }; _arguments() { print -l -- "$@" }; _describe() { print -l -- "\${(@P)2}" }; words=(${words}); CURRENT=\${#words}`;
      return spawnSync('zsh', ['-f'], { input: `${stand}\n${scripts.get('zsh')}\n_bulkhead\n`, encoding: 'utf8' }).stdout;
    };
    expect(told("bulkhead ''")).toMatch(/^rollback:bring an earlier version into force again$/m);
    expect(told("bulkhead top ''")).toMatch(/^--sort\[bytes, rate or denials\]:value:\(bytes rate denials\)$/m);
    expect(told("bulkhead explain ''")).toMatch(/^1:policy:\{compadd .*in-force/m);
  });
});
