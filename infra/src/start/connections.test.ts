import type { ConnectionState } from "@picket/shared/contract";
import { expect, test } from "vitest";
import { describeConnections } from "./connections.ts";

const connection: ConnectionState = {
  endpoints: { localAddress: "127.0.0.1", localPort: 50_000, remoteAddress: "127.0.0.1", remotePort: 3306 },
  dialect: "mysql",
  process: { pid: 7, comm: "node" },
  mode: "enforce",
  guarantee: "prevented",
  why: "",
};

test("equal connections are one line with their number, and what is unseen says why", () => {
  const { endpoints: _, ...unseen } = {
    ...connection,
    dialect: null,
    guarantee: "unseen",
    path: "/run/mysqld/mysqld.sock",
  } as const;
  expect(
    describeConnections([
      connection,
      { ...connection, process: { pid: 8, comm: "node" } },
      { ...unseen, why: "a UNIX socket" },
    ]),
  ).toEqual([
    "3 database connections on this host:",
    "  node → 127.0.0.1:3306 MySQL: prevented  (× 2)",
    "  node → /run/mysqld/mysqld.sock: unseen, a UNIX socket",
  ]);
});

test("many different connections are cut, and the number left out is said", () => {
  const many = Array.from({ length: 25 }, (_, index) => ({
    ...connection,
    process: { pid: index, comm: `app${index}` },
  }));
  expect(describeConnections(many).at(-1)).toBe("  … and 5 more: npx picket doctor");
});

test("a host without database connections says so", () => {
  expect(describeConnections([])[0]).toContain("No database connection");
});
