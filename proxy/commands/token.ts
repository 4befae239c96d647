/** `bulkhead token`: a new token, and what to write into the file for it. Only its hash is ever stored. */
import { createHash, randomBytes } from 'node:crypto';
import { ADMIN_ROLES } from '../../config/document.ts';
import { CommandError, EXIT, print, printJson } from './exit.ts';

const TOKEN_BYTES = 32;
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

export function token(name: string, words: { readonly role: string; readonly json?: true }): number {
  if (!NAME.test(name)) throw new CommandError(`${JSON.stringify(name)} is not a name of 1 to 64 letters, digits, ".", "_" or "-"`);
  if (!(ADMIN_ROLES as readonly string[]).includes(words.role))
    throw new CommandError(`--role ${JSON.stringify(words.role)} is not one of ${ADMIN_ROLES.join(', ')}`);
  const secret = newToken();
  const hash = `sha256:${hashOf(secret)}`;
  if (words.json) printJson({ name, role: words.role, token: secret, hash });
  else
    print(
      secret,
      '',
      'That is the token, shown this once. Keep it in a file that only you can read, or in BULKHEAD_TOKEN.',
      'Under process.admin.tokens of the file (read at start) stands its hash:',
      '',
      `  - { name: ${name}, role: ${words.role}, hash: "${hash}" }`,
    );
  return EXIT.yes;
}

export function newToken(): string {
  return `bh_${randomBytes(TOKEN_BYTES).toString('base64url')}`;
}

/** SHA-256, in 64 hexadecimal digits. */
export function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
