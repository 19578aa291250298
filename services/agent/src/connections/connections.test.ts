import { describe, expect, test } from "vitest";
import type { ConnectionEvent } from "../capture/kernel-event.ts";
import { addressText, procAddress } from "./addresses.ts";
import {
  dialectOfPath,
  dialectOfProcess,
  endpointKey,
  parseProcNetTcp,
  parseProcNetUnix,
} from "./discovery.ts";
import { guaranteeOf } from "./guarantee.ts";
import { ConnectionTable } from "./table.ts";

describe("guarantee", () => {
  const standing = {
    dialect: "mysql" as const,
    notice: "none" as const,
    enrolled: true,
    adopted: false,
    mode: "enforce" as const,
    statements: 1,
    judged: true,
  };
  test.each([
    ["an enforced workload", {}, "prevented"],
    ["an observed workload", { mode: "observe" as const }, "observed"],
    ["no rules loaded", { judged: false }, "observed"],
    ["adopted and silent", { adopted: true, statements: 0 }, "observed"],
    ["adopted, then recognised", { adopted: true, statements: 3 }, "prevented"],
    ["TLS", { notice: "encrypted" as const }, "unseen"],
    ["compression", { notice: "compressed" as const }, "unseen"],
    ["lost framing", { notice: "framing-lost" as const }, "unseen"],
    ["replication", { notice: "replication" as const }, "unseen"],
    ["a socket of another sockmap", { enrolled: false }, "unseen"],
    ["a workload that is off", { mode: "off" as const }, "unseen"],
  ])("%s", (_, change, expected) => {
    const { guarantee, why } = guaranteeOf({ ...standing, ...change });
    expect(guarantee).toBe(expected);
    expect(why.length).toBeGreaterThan(10);
    expect(why.length).toBeLessThanOrEqual(300);
  });
});

test.each([
  ["00000000000000000000ffff7f000001", "127.0.0.1"],
  ["00000000000000000000000000000001", "::1"],
  ["20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
  ["fe800000000000000000000000000000", "fe80::"],
  ["20010db8000100020003000400050006", "2001:db8:1:2:3:4:5:6"],
])("address %s is %s", (hex, text) => expect(addressText(Buffer.from(hex, "hex"))).toBe(text));

test("addresses of /proc/net are in host order", () => {
  expect(procAddress("0100007F")).toBe("127.0.0.1");
  expect(procAddress("00000000000000000000000001000000")).toBe("::1");
  expect(procAddress("0000000000000000FFFF00000100007F")).toBe("127.0.0.1");
});

test("/proc/net/tcp: listening and established sockets with their inodes", () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 12345 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 20 4 30 10 -1
`;
  expect(parseProcNetTcp(text)).toEqual([
    {
      localAddress: "127.0.0.1",
      localPort: 3306,
      remoteAddress: "0.0.0.0",
      remotePort: 0,
      state: "listening",
      inode: 12345,
    },
    {
      localAddress: "127.0.0.1",
      localPort: 50000,
      remoteAddress: "127.0.0.1",
      remotePort: 3306,
      state: "established",
      inode: 12346,
    },
  ]);
});

test("/proc/net/unix: the sockets of databases, listening and connected", () => {
  const text = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 20751 /run/mysqld/mysqld.sock
0000000000000000: 00000003 00000000 00000000 0001 03 20752 /run/mysqld/mysqld.sock
0000000000000000: 00000003 00000000 00000000 0001 03 20753
0000000000000000: 00000003 00000000 00000000 0001 03 20754 /tmp/with space/.s.PGSQL.5432
`;
  expect(parseProcNetUnix(text)).toEqual([
    { path: "/run/mysqld/mysqld.sock", state: "listening", inode: 20751 },
    { path: "/run/mysqld/mysqld.sock", state: "connected", inode: 20752 },
    { path: "/tmp/with space/.s.PGSQL.5432", state: "connected", inode: 20754 },
  ]);
});

test.each([
  ["/run/mysqld/mysqld.sock", "mysql"],
  ["/tmp/picket-x/mariadb.sock", "mysql"],
  ["/var/run/postgresql/.s.PGSQL.5432", "pg"],
  ["/run/docker.sock", null],
  ["/run/mysqld/mysqlx.pid", null],
])("path %s is %s", (path, dialect) => expect(dialectOfPath(path)).toBe(dialect));

test.each([
  ["mariadbd", "mysql"],
  ["mysqld", "mysql"],
  ["postgres", "pg"],
  ["pgbouncer", null],
  ["node", null],
])("process %s is %s", (name, dialect) => expect(dialectOfProcess(name)).toBe(dialect));

describe("table", () => {
  const event = (change: Partial<ConnectionEvent> = {}): ConnectionEvent => ({
    kind: "connection",
    cookie: 1n,
    reason: "established",
    notice: "none",
    process: { pid: 10, tid: 10, comm: "app", cgroupId: 1n, startNs: 1n },
    endpoints: {
      localAddress: "127.0.0.1",
      localPort: 40_000,
      remoteAddress: "127.0.0.1",
      remotePort: 13_306,
    },
    dialect: null,
    encrypted: false,
    connectFailed: false,
    adopted: false,
    enrolled: true,
    mode: "observe",
    workload: 1,
    statements: 0,
    ...change,
  });
  const context = {
    modeOf: () => undefined,
    nameOf: () => undefined,
    cgroupOf: () => undefined,
    judged: true,
    max: 10,
  };
  const list = (table: ConnectionTable) => table.states(context).states;

  test("a connection is listed once its first bytes are a database's, and gone when it closed", () => {
    const table = new ConnectionTable();
    table.feed(event());
    expect(list(table)).toEqual([]);
    table.feed(event({ reason: "recognised", dialect: "pg" }));
    expect(list(table)).toMatchObject([{ dialect: "pg", guarantee: "observed" }]);
    table.feed(event({ reason: "closed" }));
    expect(list(table)).toEqual([]);
  });

  test("what turns out to be no database is let go", () => {
    const table = new ConnectionTable();
    table.feed(event());
    table.feed(event({ reason: "recognised", notice: "not-a-database" }));
    expect(table.size).toBe(0);
  });

  test("guarding its workload changes the guarantee of an open connection", () => {
    const table = new ConnectionTable();
    table.feed(event({ reason: "recognised", dialect: "mysql", statements: 1 }));
    expect(table.states({ ...context, modeOf: () => "enforce" }).guarantees).toEqual({ prevented: 1 });
  });

  test("an encrypted connection is listed with the reason", () => {
    const table = new ConnectionTable();
    table.feed(event({ reason: "recognised", dialect: "pg", encrypted: true, notice: "encrypted" }));
    expect(list(table)).toMatchObject([{ guarantee: "unseen", why: expect.stringContaining("TLS") }]);
  });

  test("the table is bounded and says what did not fit", () => {
    const table = new ConnectionTable(3);
    for (let cookie = 0n; cookie < 5n; cookie++) table.feed(event({ cookie }));
    expect(table).toMatchObject({ size: 3, overflowed: 2 });
  });

  test("its keys tell the host's listing what is already seen", () => {
    const table = new ConnectionTable();
    table.feed(event());
    expect(table.states(context).keys.has(endpointKey(event().endpoints))).toBe(true);
  });
});
