/** Logs as JSON lines on standard output, without what must not be in them. */
import { type Logger, pino } from "pino";

/**
 * An error as it is logged: the cause at its bottom. A database error from drizzle has the query's parameters in its
 * message and its fields; they may be secrets, and are left out.
 */
export function describeError(error: unknown): unknown {
  let cause = error;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  if (!(cause instanceof Error)) return cause;
  const { code } = cause as { code?: unknown };
  return {
    type: cause.name,
    message: cause.message,
    ...(typeof code === "string" && { code }),
    stack: cause.stack,
  };
}

export function createLog({ name, level }: { name: string; level: string }): Logger {
  return pino({
    name,
    level,
    serializers: { error: describeError },
    // Nothing that lets somebody in is logged, whatever object it comes with.
    redact: {
      paths: ["*.token", "*.secret", "*.joinToken", "*.authorization", "*.cookie"],
      censor: "[redacted]",
    },
  });
}
