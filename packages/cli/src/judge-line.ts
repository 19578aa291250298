/** One line of `picket judge`'s input: what is to be judged, or what is wrong with the line. */
import type { Statement } from "@picket/judge/judge";
import { parseSession } from "@picket/judge/session";
import { err, ok, type Result } from "@picket/shared/result";
import { Dialect } from "@picket/shared/vocabulary";
import { z } from "zod";
import type { Line } from "./lines.ts";

const Request = z
  .object({
    id: z.union([z.string(), z.number()]),
    dialect: Dialect,
    sql: z.string().optional(),
    sql_hex: z
      .string()
      .regex(/^(?:[0-9a-fA-F]{2})*$/, "hexadecimal digits in pairs")
      .optional(),
    session: z.string().nullish(),
    /** How often it was sent: for a backtest. */
    count: z.int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
    workload: z.string().optional(),
    user: z.string().optional(),
    database: z.string().optional(),
  })
  .refine(({ sql, sql_hex }) => sql !== undefined || sql_hex !== undefined, "sql or sql_hex is missing");

export type JudgeRequest = { id: string | number; statement: Statement; count: number };
export type LineError = { id?: string | number; line: number; error: string };

export function readRequest({ number, bytes }: Line): Result<JudgeRequest, LineError> {
  if (bytes === null) return err({ line: number, error: "the line is too long" });
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return err({ line: number, error: "not JSON" });
  }
  const parsed = Request.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const id = z.union([z.string(), z.number()]).safeParse((value as { id?: unknown } | null)?.id);
    const where = issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
    return err({ ...(id.success ? { id: id.data } : {}), line: number, error: `${where}${issue.message}` });
  }
  const { id, dialect, sql, sql_hex, session: text, count = 1, workload, user, database } = parsed.data;
  const session = parseSession(dialect, text ?? undefined);
  if (!session.ok) return err({ id, line: number, error: session.error });
  // The exact bytes win: JSON text cannot carry every byte sequence that a server accepts.
  return ok({
    id,
    count,
    statement: {
      dialect,
      sql: sql_hex === undefined ? sql! : Buffer.from(sql_hex, "hex"),
      session: session.value,
      context: { workload, user, database },
    },
  });
}
