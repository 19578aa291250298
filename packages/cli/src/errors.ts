/**
 * What a command may end with. The numbers are an interface (docs/cli.md): scripts branch on them. Each error
 * says what is wrong and, in `hint`, what to do.
 */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  refused: 4,
  "not-found": 5,
  conflict: 6,
} as const;

export type ExitName = keyof typeof EXIT;

export class CliError extends Error {
  readonly exit: ExitName;
  readonly code: string;
  readonly hint: string | null;
  /** Shown as they are below the message, for example the lines of a rule file's errors. */
  readonly details: unknown;

  constructor(exit: ExitName, code: string, message: string, hint: string | null = null, details?: unknown) {
    super(message);
    this.exit = exit;
    this.code = code;
    this.hint = hint;
    this.details = details;
  }
}

export const usage = (message: string, hint: string | null = null): CliError =>
  new CliError("usage", "usage", message, hint);

/** RFC 9457: title and detail, and where the title only repeats the code, the detail. */
export function problemText({
  title,
  detail,
  code,
}: {
  title: string;
  detail?: string | undefined;
  code: string;
}): string {
  if (!detail) return title;
  return title === code ? detail : `${title}: ${detail}`;
}
