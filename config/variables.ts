/** `${NAME}` and `${NAME:-default}` inside a scalar. `$${` stands for the two characters `${`. */
import { shown } from './problem.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `code` and `message` say why there is no text. */
export type Substitution =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly code: string; readonly message: string };

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Replaces every variable. As in a shell, the default stands in for a variable that is unset or empty; the default is taken as it
 * is written. What a variable holds is never read as YAML structure and never substituted again.
 */
export function substitute(text: string, env: Environment): Substitution {
  let result = '';
  let at = 0;
  for (;;) {
    const start = text.indexOf('${', at);
    if (start < 0) return { ok: true, text: result + text.slice(at) };
    if (start > at && text[start - 1] === '$') {
      result += `${text.slice(at, start - 1)}\${`;
      at = start + 2;
      continue;
    }
    const end = text.indexOf('}', start);
    if (end < 0)
      return bad(
        `A variable that begins with "\${" has no closing "}" in ${shown(text)}. Close it, or write "$\${" for the two characters themselves.`,
      );
    const inside = text.slice(start + 2, end);
    const split = inside.indexOf(':-');
    const name = split < 0 ? inside : inside.slice(0, split);
    if (!NAME.test(name))
      return bad(`${shown(name)} is no name of a variable. Write \${NAME} or \${NAME:-default}, with letters, digits and "_" in NAME.`);
    const held = Object.hasOwn(env, name) ? env[name] : undefined;
    const value = split >= 0 && (held === undefined || held === '') ? inside.slice(split + 2) : held;
    if (value === undefined) {
      return {
        ok: false,
        code: 'unset-variable',
        message: `The environment has no variable ${name}. Set it, or write \${${name}:-default} to have a value without it.`,
      };
    }
    result += text.slice(at, start) + value;
    at = end + 1;
  }
}

/** What a plain scalar stands for under the YAML 1.2 core schema (YAML 1.2.2 §10.3.2), for text that came out of a substitution. */
export function coreScalar(text: string): unknown {
  if (/^(?:null|Null|NULL|~|)$/.test(text)) return null;
  if (/^(?:true|True|TRUE)$/.test(text)) return true;
  if (/^(?:false|False|FALSE)$/.test(text)) return false;
  if (/^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$/.test(text)) return Number(text);
  if (/^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(text)) return Number(text);
  return text;
}

function bad(message: string): Substitution {
  return { ok: false, code: 'bad-variable', message };
}
