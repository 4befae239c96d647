/**
 * Listening ports below the range that the kernel hands out to outgoing connections (from 32768 on): a fixed port in that range
 * collides now and then with a connection of the load.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';

const PORT_FIRST = 20_000;
const PORT_LAST = 32_000;
const ATTEMPTS_MAX = 1_000;

let next = PORT_FIRST + Math.floor(Math.random() * (PORT_LAST - PORT_FIRST));

/** `count` ports of 127.0.0.1 on which nothing listens now. No port is handed out twice before the range is through. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let attempt = 0; ports.length < count; attempt++) {
    if (attempt > ATTEMPTS_MAX) throw new Error(`no ${count} free ports between ${PORT_FIRST} and ${PORT_LAST}`);
    const port = next;
    next = next >= PORT_LAST ? PORT_FIRST : next + 1;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(port, '0.0.0.0');
    await once(probe, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    probe.close();
  }
}
