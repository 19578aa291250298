/**
 * Files that must be whole after a crash: written beside, flushed, renamed over, and the directory flushed, so
 * that a reader sees the old or the new content and never a half of one (rename(2), fsync(2)).
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { z } from "zod";

export function writeDurably(path: string, bytes: string | Uint8Array, mode = 0o600): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}.new`;
  const file = openSync(beside, "w", mode);
  try {
    const content = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    for (let at = 0; at < content.length; ) at += writeSync(file, content, at);
    fsyncSync(file);
  } catch (error) {
    closeSync(file);
    rmSync(beside, { force: true });
    throw error;
  }
  closeSync(file);
  renameSync(beside, path);
  syncDirectory(dirname(path));
}

export function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Null where the file is absent; throws with the path where it is there and wrong. */
export function readJson<T extends z.ZodType>(path: string, schema: T): z.infer<T> | null {
  const text = readIfPresent(path)?.toString("utf8");
  if (text === undefined) return null;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error(`${path} is not JSON; remove it to start without it`);
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success) throw new Error(`${path} does not hold what it should; remove it to start without it`);
  return parsed.data;
}

export function readIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
