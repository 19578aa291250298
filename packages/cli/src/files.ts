/** Files that a command was given by name. */
import { readFileSync, writeFileSync } from "node:fs";
import { CliError, usage } from "./errors.ts";

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

/** JSON of any shape. */
export function readJson(file: string): unknown {
  try {
    return JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw usage(`${file} is not JSON: ${(error as Error).message}`);
  }
}

export function writeJson(file: string, value: unknown): void {
  try {
    writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
  } catch (error) {
    throw new CliError("failed", "cannot-write", `cannot write ${file}: ${(error as Error).message}`);
  }
}
