/** Runs statements on one connection of a process inside a cgroup, one after the other, through a real driver. */
import { fileURLToPath } from "node:url";
import { type Database, inCgroup } from "../harness/index.ts";

const CLIENT = fileURLToPath(new URL("./clients/statements.mjs", import.meta.url));

export type Got = { rows?: unknown[][]; error?: { code: string | number; message: string } };

export async function runStatements(input: {
  cgroup: string;
  server: Pick<Database, "port" | "user" | "password">;
  dialect: "mysql" | "pg";
  protocol: "text" | "prepared";
  database: string;
  statements: string[];
}): Promise<Got[]> {
  const { server, dialect, protocol } = input;
  const child = inCgroup(input.cgroup, [process.execPath, CLIENT, dialect, protocol, String(server.port)], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, DB_USER: server.user, DB_PASSWORD: server.password, DB_NAME: input.database },
  });
  child.stdin!.end(JSON.stringify(input.statements));
  let out = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    out += chunk;
  });
  await new Promise(resolve => child.on("close", resolve));
  return JSON.parse(out) as Got[];
}
