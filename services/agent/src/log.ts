/** One JSON line per event on standard output. Statements and secrets are never logged: only ids, digests and counts. */
import { type Logger, pino } from "pino";

export type Log = Pick<Logger, "info" | "warn" | "error" | "debug">;

export function openLog(level: string): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 1, sync: true }),
  );
}

export const silentLog: Log = { info() {}, warn() {}, error() {}, debug() {} } as unknown as Log;
