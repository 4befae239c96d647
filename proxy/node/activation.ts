/**
 * Socket activation: listening sockets that a service manager has bound and keeps open across restarts, so that clients wait rather than be refused
 * (sd_listen_fds(3)). They are met by their addresses; a socket that no VIP asks for is a mistake in the unit or in the file.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { formatHostPort, parseAddress } from '../../config/address.ts';
import type { Document } from '../../config/document.ts';
import { pipe, type SocketHandle, tcp } from '../wire/native.ts';
import type { Lent } from './sockets.ts';

/** SD_LISTEN_FDS_START */
const FIRST_DESCRIPTOR = 3;
/** As many as VIPs can reasonably be had from a unit; a number beyond is no number of sockets. */
const DESCRIPTORS_MAX = 4_096;

export class ActivationError extends Error {
  readonly code = 'unmatched-socket';
}

interface Given {
  readonly descriptor: number;
  readonly name: string;
}

/**
 * Takes the sockets that were given to this process, and takes their mention out of `env`, which children would else misunderstand. Throws an
 * ActivationError with a line for each that matches no VIP.
 */
export function takeActivated(env: NodeJS.ProcessEnv, document: Document): Lent[] {
  const given = givenSockets(env);
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID']) delete env[name];
  const vips = new Set(document.applications.flatMap((application) => application.vips.map((vip) => vip.endpoint.text)));
  const lent: Lent[] = [];
  const problems: string[] = [];
  for (const { descriptor, name } of given) {
    const found = openSocket(descriptor);
    const who = `file descriptor ${descriptor}${name === '' ? '' : ` (${name})`}`;
    if (found === null) problems.push(`${who} of the service manager is no stream socket: take it out of the socket unit`);
    else if (vips.has(found.address)) lent.push({ vip: found.address, isShared: true, socket: found.socket });
    else problems.push(`${who} of the service manager listens on ${found.address}, which is no VIP of the file: ${remedy(found.address)}`);
  }
  if (problems.length === 0) return lent;
  throw new ActivationError(problems.join('\n'));
}

function remedy(address: string): string {
  const stream = address.startsWith('unix:') ? address.slice('unix:'.length) : address;
  return `write it among the vips of an application, or take ListenStream=${stream} out of the socket unit`;
}

function givenSockets(env: NodeJS.ProcessEnv): Given[] {
  const count = Number(env.LISTEN_FDS);
  if (env.LISTEN_PID !== String(process.pid) || !Number.isInteger(count) || count < 1) return [];
  if (count > DESCRIPTORS_MAX) throw new ActivationError(`LISTEN_FDS is ${count}; a node takes ${DESCRIPTORS_MAX} sockets at most`);
  const names = (env.LISTEN_FDNAMES ?? '').split(':');
  return Array.from({ length: count }, (_, i) => ({ descriptor: FIRST_DESCRIPTOR + i, name: names[i] ?? '' }));
}

/** The address in the words of the file, and a handle that owns the descriptor; null where it is no stream socket. */
function openSocket(descriptor: number): { address: string; socket: SocketHandle } | null {
  const path = unixPathOf(descriptor);
  if (path !== null) {
    const socket: SocketHandle = new pipe.Pipe(pipe.constants.SERVER);
    return socket.open(descriptor) === 0 ? { address: `unix:${path}`, socket } : null;
  }
  const socket: SocketHandle = new tcp.TCP(tcp.constants.SERVER);
  const name = { address: '', family: '', port: 0 };
  if (socket.open(descriptor) !== 0 || socket.getsockname?.(name) !== 0) return null;
  const address = parseAddress(name.address);
  return address === null ? null : { address: formatHostPort(address, name.port), socket };
}

/** The kernel lists unix sockets by inode: number, references, protocol, flags, type, state, inode, path (proc(5)). */
function unixPathOf(descriptor: number): string | null {
  try {
    const inode = /^socket:\[([0-9]+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1];
    if (inode === undefined) return null;
    const line = readFileSync('/proc/self/net/unix', 'utf8')
      .split('\n')
      .find((row) => row.split(/ +/)[6] === inode);
    const path = line?.split(/ +/).slice(7).join(' ');
    return path === undefined || path === '' ? null : path;
  } catch {
    // No such descriptor, or no /proc: the address is asked for in the other way, which says what is wrong.
    return null;
  }
}
