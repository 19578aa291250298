/** Answers that never change, named by the digest of their content: cached for ever, resumable by range. */
import type { Context } from "hono";
import { Refusal } from "../refusal.ts";

export function answerImmutable(
  c: Context,
  bytes: Uint8Array<ArrayBuffer>,
  digest: string,
  type: string,
): Response {
  const etag = `"${digest}"`;
  const headers = {
    etag,
    "content-type": type,
    "cache-control": "private, max-age=31536000, immutable",
    "accept-ranges": "bytes",
  };
  if (c.req.header("if-none-match") === etag) return c.body(null, 304, headers);
  const range = rangeOf(c.req.header("range"), bytes.length);
  if (range === null) return c.body(bytes, 200, headers);
  const [from, to] = range;
  return c.body(bytes.slice(from, to + 1), 206, {
    ...headers,
    "content-range": `bytes ${from}-${to}/${bytes.length}`,
  });
}

/** One range (RFC 9110, 14.1.2); several, or another unit, are answered whole, as the RFC allows. */
export function rangeOf(header: string | undefined, length: number): [from: number, to: number] | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return null;
  const [from, to] =
    match[1] === ""
      ? [Math.max(0, length - Number(match[2])), length - 1]
      : [Number(match[1]), match[2] === "" ? length - 1 : Math.min(Number(match[2]), length - 1)];
  if (from > to) throw new Refusal("unsatisfiable-range", `the object has ${length} bytes`);
  return [from, to];
}
