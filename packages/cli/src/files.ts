/** Files that a command was given by name. */
import { readFileSync } from "node:fs";
import { CliError } from "./errors.ts";

export const readText = (file: string): string => readBytes(file).toString("utf8");

export function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new CliError(
      missing ? "not-found" : "failed",
      "no-file",
      missing ? `there is no file ${file}` : `cannot read ${file}: ${(error as Error).message}`,
    );
  }
}
