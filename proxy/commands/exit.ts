/** How a command ends: its exit status, and the one line that it leaves on standard error when it cannot do what was asked. */

export const EXIT = {
  /** Yes: the file is good, the flow is allowed, the node stopped as it was told. */
  yes: 0,
  /** No: a check failed, a flow is denied, the node could not start. */
  no: 1,
  /** Wrong usage, or something that cannot be read or reached. */
  wrong: 2,
} as const;

/** Ends a command with one line for the person who typed it. Anything else that is thrown is a fault of ours. */
export class CommandError extends Error {
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number = EXIT.wrong, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandError';
    this.exitStatus = exitStatus;
  }
}

/** Writes lines to standard output, as one write. */
export function print(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Whoever reads standard output may leave early (`| head`): that is no error. */
export function endQuietlyOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.yes);
      throw error;
    });
  }
}
