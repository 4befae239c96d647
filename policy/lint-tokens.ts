/** Findings about tokens: keys that whoever is on the way could put others in the place of. */
import type { Document, Problem } from '../config/document.ts';
import { pointer } from './lint-sources.ts';

/** Names and addresses that no other machine answers for (RFC 6761 §6.3). */
const LOOPBACK_HOST = /^(?:localhost|.*\.localhost|127\.[0-9.]+|\[::1\])$/;

/** Key sets that are fetched in the clear over a network. */
export function clearKeys({ applications }: Document): Problem[] {
  return applications.flatMap(({ name, tokens, place }) =>
    tokens.flatMap(({ keys }, i): Problem[] => {
      const url = /^http:/i.test(keys) ? URL.parse(keys) : null;
      if (url === null || LOOPBACK_HOST.test(url.hostname)) return [];
      const message = `The keys of a token issuer come from ${keys} in the clear: whoever is on the way can send others, and be anybody. Write https://, or a file.`;
      return [{ code: 'token-keys-in-clear', severity: 'warning', path: `/applications/${pointer(name)}/jwt/${i}/keys`, place, message }];
    }),
  );
}
