/** The node's log: JSON lines on standard error, written by the main thread in the background. Workers send it words; they never write. */
import { destination, pino, stdSerializers } from 'pino';

export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  debug(fields: object, message: string): void;
  /** Writes what waits. */
  flush(): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export function openLog(level: LogLevel, node: string): Logger {
  const out = destination({ fd: 2, sync: false });
  const log = pino(
    {
      level,
      base: { node },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: shownError },
    },
    out,
  );
  return {
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    debug: (fields, message) => log.debug(fields, message),
    flush: () => {
      try {
        out.flushSync();
      } catch {
        // Nothing was written yet, or nobody reads: a log is no reason to fail.
      }
    },
  };
}

/** What the system says needs no stack: where in our code it was met tells an operator nothing, and looks like a fault of ours. */
function shownError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return stdSerializers.err(error);
  return { type: error.name, code, message };
}
