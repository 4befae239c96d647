/** Why a text is no address or prefix, and what to write instead. The common slips each have an answer of their own. */
import { parseAddress, parsePrefix } from './address.ts';
import { shown } from './problem.ts';

export interface Advice {
  readonly code: 'bad-address' | 'unsupported';
  readonly message: string;
  readonly suggestion?: string;
}

/** What is wrong with an address or a prefix (`allowPrefix`) that `parseAddress` or `parsePrefix` refused. */
export function adviseAddress(text: string, allowPrefix = false): Advice {
  if (text === '') return bad('An address is missing here. Write one such as 10.0.0.1.');
  const trimmed = text.trim();
  if (trimmed !== text) return bad('Spaces stand around the address. Remove them.', readable(trimmed, allowPrefix));
  if (text.includes('%'))
    return bad(
      'An address must not carry a zone (the part after "%"). Write the address without it.',
      readable(text.replace(/%[^/]*/, ''), allowPrefix),
    );
  if (/^\[.*\]$/.test(text))
    return bad('Brackets stand only before a port. Write the address without them.', readable(text.slice(1, -1), allowPrefix));
  const slash = text.indexOf('/');
  if (slash >= 0)
    return allowPrefix
      ? advisePrefix(text, text.slice(0, slash), text.slice(slash + 1))
      : bad(`${shown(text)} is a network. Write a single address here.`, readable(text.slice(0, slash), false));
  if (/^[0-9.]+-[0-9.]+$/.test(text)) return bad(`${shown(text)} is a range. Write it as prefixes such as 10.0.0.0/24.`);
  if (/^[+-]/.test(text)) return bad('An address has no sign. Remove it.', readable(text.slice(1), allowPrefix));
  if (/^[0-9.]+:[0-9]+$/.test(text))
    return bad(
      'A source has no port. Write the address alone; rules name ports under ports:.',
      readable(text.replace(/:.*$/, ''), allowPrefix),
    );
  if (/^[0-9.]+$/.test(text)) return adviseIpv4(text);
  if (text.includes(':'))
    return bad(
      `${shown(text)} is no IPv6 address. Write up to four hexadecimal digits between colons, and "::" at most once: 2001:db8::1.`,
    );
  if (/^(?=.*[0-9*])[0-9.]*[*xX][0-9.*xX]*$/.test(text)) return bad('Wildcards are written as prefixes: 10.1.0.0/16 for 10.1.*.*.');
  if (/^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$/.test(text)) {
    return {
      code: 'unsupported',
      message: `${shown(text)} is a name, and names are not looked up here. Write the addresses it stands for.`,
    };
  }
  return bad(`${shown(text)} is no address. Write one such as 10.0.0.1 or 2001:db8::1, with nothing around it.`);
}

function adviseIpv4(text: string): Advice {
  const parts = text.split('.');
  if (parts.length !== 4 || parts.includes(''))
    return bad(
      `${shown(text)} is no IPv4 address: it has four numbers separated by dots. A network is written with its length: 10.1.0.0/16.`,
    );
  const plain = parts.map((part) => String(Number(part))).join('.');
  if (parts.some((part) => part.length > 1 && part.startsWith('0'))) {
    return bad('Numbers in an address must not begin with 0: some tools read them as octal, others as decimal.', readable(plain, false));
  }
  return bad(`${shown(text)} is no IPv4 address: each of its four numbers is at most 255. Correct the one that is larger.`);
}

function advisePrefix(text: string, network: string, length: string): Advice {
  const address = parseAddress(network);
  if (address === null) return adviseAddress(network, false);
  const bits = network.includes(':') ? 128 : 32;
  const mask = parseAddress(length);
  if (mask !== null && mask.family === 4 && bits === 32) {
    const ones = Math.clz32(~mask.words[3]);
    const contiguous = ones === 32 || (mask.words[3] << ones) >>> 0 === 0;
    return bad('A network is written with the number of its bits, not with a mask.', contiguous ? `${network}/${ones}` : undefined);
  }
  if (/^0[0-9]+$/.test(length)) return bad('The length after "/" must not begin with 0.', readable(`${network}/${Number(length)}`, true));
  if (/^[0-9]+$/.test(length))
    return bad(
      `The length in ${shown(text)} is too large: an IPv${bits === 32 ? 4 : 6} prefix has at most ${bits} bits. Write /0 to /${bits}.`,
    );
  return bad(`The length in ${shown(text)} is no number. Write digits only after "/": ${network}/${bits}.`);
}

function readable(text: string, allowPrefix: boolean): string | undefined {
  return (allowPrefix ? parsePrefix(text) : parseAddress(text)) === null ? undefined : text;
}

function bad(message: string, suggestion?: string): Advice {
  return { code: 'bad-address', message, ...(suggestion === undefined ? {} : { suggestion }) };
}
