/** Words that need no node: tokens and completion. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
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

describe('completion', () => {
  it.each(['bash', 'zsh', 'fish'])('for %s knows every command and its options', async (shell) => {
    const { stdout, status } = await bulkhead(['completion', shell]);
    expect(status).toBe(0);
    for (const command of [...COMMANDS, 'run', 'check', 'explain']) expect(stdout).toContain(command);
    expect(stdout).toContain('dry-run');
  });

  it('for bash completes commands and options', async () => {
    const { stdout } = await bulkhead(['completion', 'bash']);
    const complete = (words: string[]) => {
      const set = `COMP_WORDS=(${words.join(' ')}${words.at(-1) === '' ? "''" : ''}); COMP_CWORD=${words.length - 1}; _bulkhead; echo "\${COMPREPLY[*]}"`;
      return spawnSync('bash', ['-c', `${stdout}\n${set}`], { encoding: 'utf8' }).stdout.trim();
    };
    expect(complete(['bulkhead', 'rol'])).toBe('rollback');
    expect(complete(['bulkhead', 'apply', '--dry'])).toBe('--dry-run');
    expect(complete(['bulkhead', 'quarantine', '--re'])).toBe('--reason');
  });
});
