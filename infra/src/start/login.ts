import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Where root's `picket` looks when nobody has logged in: in memory only, gone with what it leads to. */
const LOCAL_LOGIN = "/run/picket/login.json";

/** Tells root's `picket` of the control plane that runs here. Of two that run, the later one is told of. */
export function offerLogin(login: { url: string; token: string }): { withdraw(): void } {
  const text = JSON.stringify(login);
  mkdirSync(dirname(LOCAL_LOGIN), { recursive: true, mode: 0o755 });
  rmSync(LOCAL_LOGIN, { force: true });
  writeFileSync(LOCAL_LOGIN, text, { mode: 0o600, flag: "wx" });
  return {
    withdraw() {
      if (readOr(LOCAL_LOGIN) === text) rmSync(LOCAL_LOGIN, { force: true });
    },
  };
}

function readOr(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
