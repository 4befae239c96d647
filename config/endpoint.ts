/** Socket addresses as people write them: `IP:port`, `[v6]:port`, `IP:8000-8099`, `unix:/path`; and of servers also `name:port`. */
import type { Address } from './address.ts';
import { formatHostPort, parseAddress } from './address.ts';
import { adviseAddress } from './advice.ts';
import type { Endpoint, NamedEndpoint } from './document.ts';
import { UNIX_PATH_BYTES_MAX } from './limits.ts';
import { shown } from './problem.ts';

/** Why a text is not what it should be, what to do, and the right text where it can be told. */
export interface Refusal {
  readonly ok: false;
  readonly code: string;
  readonly message: string;
  readonly suggestion?: string;
}

/** A range of ports at one address, or a unix socket. */
export type EndpointRange =
  | { readonly ok: true; readonly kind: 'tcp'; readonly address: Address; readonly first: number; readonly last: number }
  | { readonly ok: true; readonly kind: 'unix'; readonly path: string };

export type EndpointReading = { readonly ok: true; readonly endpoint: Endpoint } | Refusal;

/** Longer than any such line; what is longer gets the answer that all texts get. */
const LINE_CHARACTERS_MAX = 512;

const NO_UDP = 'UDP is not served here, only TCP and what runs over it. Remove this.';

const PORT_DIGITS = /^(0|[1-9][0-9]{0,4})$/;

/** Reads one endpoint. `lowestPort` is 0 where the kernel may choose the port. */
export function parseEndpoint(text: string, lowestPort: 0 | 1 = 1): EndpointReading {
  const range = parseEndpointRange(text, lowestPort);
  if (!range.ok) return range;
  if (range.kind === 'unix') return { ok: true, endpoint: { kind: 'unix', path: range.path, text: `unix:${range.path}` } };
  if (range.first !== range.last) return refuse(`${shown(text)} is a range of ports. Write one port here.`, text.replace(/-[0-9]+$/, ''));
  return { ok: true, endpoint: tcpEndpoint(range.address, range.first) };
}

/** A host name to look up (RFC 1123 §2.1, with "_" as found in practice). */
const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
/** RFC 1035 §2.3.4: 255 octets on the wire, which are 253 characters. */
const HOST_NAME_CHARACTERS_MAX = 253;

/** Reads where a server is: an endpoint, or a name with a port. */
export function parseServerEndpoint(text: string): { readonly ok: true; readonly endpoint: Endpoint | NamedEndpoint } | Refusal {
  const reading = parseEndpoint(text);
  if (reading.ok) return reading;
  const line = adviseLine(text);
  if (line !== null) return line;
  if (reading.code !== 'unsupported') return reading;
  const [, written = '', port = ''] = /^([^:[\]]+):([^:]*)$/.exec(text) ?? [];
  const host = written.toLowerCase().replace(/\.$/, '');
  // DNS does not know it for certain, and the one meant is always the same.
  if (host === 'localhost') return refuse('This name is not looked up. Write the address itself.', `127.0.0.1:${port}`, 'unsupported');
  if (host.length > HOST_NAME_CHARACTERS_MAX || !HOST_NAME.test(host))
    return refuse(`${shown(written)} is neither an address nor a host name. Write one such as web.internal.`);
  const ports = parsePortRange(port);
  if (!ports.ok) return ports;
  if (ports.first !== ports.last) return refuse(`${shown(text)} is a range of ports. Write one port here.`, text.replace(/-[0-9]+$/, ''));
  return { ok: true, endpoint: { kind: 'name', host, port: ports.first, text: `${host}:${ports.first}` } };
}

/** Reads an endpoint whose port may be a range, both ends included. */
export function parseEndpointRange(text: string, lowestPort: 0 | 1 = 1): EndpointRange | Refusal {
  if (text.startsWith('unix:')) return parseUnix(text.slice('unix:'.length));
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  if (parts === null) return adviseEndpoint(text);
  const host = parts[1] ?? parts[2]!;
  const address = parseAddress(host);
  if (address === null) return adviseHost(text, host, parts[3]!);
  if ((parts[1] !== undefined) !== host.includes(':')) return refuse('Brackets stand around IPv6 addresses only.', `${host}:${parts[3]}`);
  const ports = parsePortRange(parts[3]!, lowestPort);
  return ports.ok ? { ok: true, kind: 'tcp', address, first: ports.first, last: ports.last } : ports;
}

/** Every endpoint of a range, in order. */
export function expandEndpoints(range: EndpointRange): Endpoint[] {
  if (range.kind === 'unix') return [{ kind: 'unix', path: range.path, text: `unix:${range.path}` }];
  return Array.from({ length: range.last - range.first + 1 }, (_, i) => tcpEndpoint(range.address, range.first + i));
}

/** Reads `8080` or `8000-8099`. */
export function parsePortRange(
  text: string,
  lowestPort: 0 | 1 = 1,
): { readonly ok: true; readonly first: number; readonly last: number } | Refusal {
  if (/\/udp$/i.test(text)) return refuse(NO_UDP);
  const [from, to, rest] = text.split('-');
  if (rest !== undefined || !PORT_DIGITS.test(from!) || (to !== undefined && !PORT_DIGITS.test(to))) {
    return refuse(`${shown(text)} is no port. Write a number from 1 to 65535, or a range such as 8000-8099, in digits only.`);
  }
  const first = Number(from);
  const last = Number(to ?? from);
  if (first < lowestPort || last > 65_535) return refuse(`The port ${shown(text)} does not exist. Ports are ${lowestPort} to 65535.`);
  if (first > last) return refuse(`The range ${shown(text)} ends before it begins. Write the lower port first.`, `${to}-${from}`);
  return { ok: true, first, last };
}

function tcpEndpoint(address: Address, port: number): Endpoint {
  return { kind: 'tcp', address, port, text: formatHostPort(address, port) };
}

function parseUnix(path: string): EndpointRange | Refusal {
  if (!path.startsWith('/')) return refuse('A unix socket is written with its whole path: unix:/run/bulkhead/web.sock.');
  if (/[\u0000-\u001f\u007f]/.test(path)) return refuse('The path of a unix socket must not contain control characters. Remove them.');
  if (path.endsWith('/')) return refuse('The path of a unix socket names a file, not a folder. Add a file name.');
  if (Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) {
    return refuse(
      `The path of a unix socket is longer than ${UNIX_PATH_BYTES_MAX} bytes, which the kernel does not accept. Use a shorter folder such as /run.`,
    );
  }
  return { ok: true, kind: 'unix', path };
}

/** A whole line as other proxies write their servers: `server web1 10.0.0.1:80 check weight 3`, `server 10.0.0.1:80 weight=3;`. */
function adviseLine(text: string): Refusal | null {
  const [, where, rest = ''] = /^server\s+(?:\S+\s+)?(\S+:[0-9]+)\s*;?(.*)$/.exec(text.slice(0, LINE_CHARACTERS_MAX)) ?? [];
  if (where === undefined || !parseServerEndpoint(where).ok) return null;
  const weight = /(?:^|\s)weight[ =]([0-9]{1,3})\b/.exec(rest)?.[1];
  const written = weight === undefined ? where : `{ address: ${where}, weight: ${weight} }`;
  return refuse(`A server is written as its address, and checked by health: of its pool. Write ${written} in place of the line.`);
}

/** The text does not even split into host and port. */
function adviseEndpoint(text: string): Refusal {
  if (/^udp:/i.test(text)) return refuse(NO_UDP);
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text))
    return refuse('Write an address and a port without a scheme or path: 127.0.0.1:8080.', schemeless(text));
  const loose = /^(.*):([0-9]+(?:-[0-9]+)?)$/.exec(text);
  if (loose !== null && parseAddress(loose[1]!)?.family === 6)
    return refuse('An IPv6 address with a port needs brackets (and quotes around all of it).', `[${loose[1]}]:${loose[2]}`);
  const bare = parseAddress(text.replace(/^\[|\]$/g, ''));
  if (bare !== null && !(text.startsWith('[') && !text.endsWith(']'))) {
    const shape = bare.family === 6 ? `[${text.replace(/^\[|\]$/g, '')}]:PORT` : `${text}:PORT`;
    return refuse(`${shown(text)} has no port. Write ${shape}${bare.family === 6 ? ', in quotes' : ''}.`);
  }
  if (/^[^:[\]]+$/.test(text)) return refuse(`${shown(text)} has no port. Write ADDRESS:PORT such as 127.0.0.1:8080, or unix:/path.`);
  return refuse(`${shown(text)} is no endpoint. Write 127.0.0.1:8080, "[::1]:8080" (in quotes) or unix:/path.`);
}

/** There is a host and a port, and the host is no address. */
function adviseHost(text: string, host: string, port: string): Refusal {
  if (host === '' || host === '*') {
    const all = `0.0.0.0:${port}`;
    return refuse(
      `${shown(text)} does not say which address. Write ${all} for every IPv4 address, or "[::]:${port}" for every IPv6 address.`,
      all,
    );
  }
  if (host.toLowerCase() === 'localhost')
    return refuse('Names are not looked up here. Write the address itself.', `127.0.0.1:${port}`, 'unsupported');
  const advice = adviseAddress(host);
  const suggestion =
    advice.suggestion === undefined
      ? undefined
      : advice.suggestion.includes(':')
        ? `[${advice.suggestion}]:${port}`
        : `${advice.suggestion}:${port}`;
  return refuse(advice.message, suggestion, advice.code);
}

function schemeless(text: string): string | undefined {
  const rest = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]+)/i.exec(text)?.[1];
  return rest !== undefined && parseEndpoint(rest).ok ? rest : undefined;
}

function refuse(message: string, suggestion?: string, code = 'bad-address'): Refusal {
  return { ok: false, code, message, ...(suggestion === undefined ? {} : { suggestion }) };
}
