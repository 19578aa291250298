import type { ConnectionState } from "@picket/shared/contract";
import { expect, test } from "vitest";
import { connectionGroups } from "./connection-groups.ts";

const connection = (over: Partial<ConnectionState>, pid = 1): ConnectionState =>
  ({
    endpoints: { localAddress: "10.0.0.1", localPort: 1, remoteAddress: "10.0.0.2", remotePort: 3306 },
    dialect: "mysql",
    mode: "enforce",
    guarantee: "prevented",
    why: "plaintext",
    process: { pid, comm: "node" },
    ...over,
  }) as ConnectionState;

test("what is alike is one row with its processes; the weakest guarantee comes first", () => {
  const groups = connectionGroups([
    connection({}, 1),
    connection({}, 2),
    connection({}, 2),
    connection({ guarantee: "observed", mode: "observe" }),
    connection({ guarantee: "unseen", why: "UNIX socket" }),
  ]);
  expect(groups.map(({ like, count, pids }) => `${like.guarantee} ${count} ${pids.join("+")}`)).toEqual([
    "unseen 1 1",
    "observed 1 1",
    "prevented 3 1+2",
  ]);
});

test("another reason, server or process name is another row", () => {
  const groups = connectionGroups([
    connection({}),
    connection({ why: "adopted" }),
    connection({ path: "/run/mysqld/mysqld.sock", endpoints: undefined } as Partial<ConnectionState>),
    connection({ process: { pid: 1, comm: "java" } }),
  ]);
  expect(groups).toHaveLength(4);
});
