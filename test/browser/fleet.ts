/**
 * What five nodes of a small shop would report, in the words of the contract. Made by hand rather than drawn: every
 * state that the console must show is there once (refused bundle, local override, losses, each guarantee, each
 * kind of detection). Ids and times are given by the caller.
 */
import { randomUUID } from "node:crypto";
import type { ConnectionState, Installed, Report } from "@picket/shared/contract";
import type { Detection } from "@picket/shared/detection";
import { Detection as DetectionSchema } from "@picket/shared/detection";
import type { BundleDigest, RuleSetName, RuleVersion } from "@picket/shared/ids";

export const KERNEL = "6.18.44-cloud-amd64";
export const AGENT_VERSION = "0.1.0";
export const RULE_SET = "shop" as RuleSetName;
export const version = (n: number) => n as RuleVersion;

export interface SimulatedHost {
  hostname: string;
  labels: Record<string, string>;
  connections: ConnectionState[];
  /** Beyond those listed. */
  connectionsMore: Partial<Record<"prevented" | "severed" | "observed" | "unseen", number>>;
  losses: Record<string, number>;
  missing: string[];
  statements: number;
}

function connection(
  n: number,
  state: Pick<ConnectionState, "dialect" | "guarantee" | "mode" | "why">,
  process: { comm: string; workload: string },
): ConnectionState {
  return {
    endpoints: {
      localAddress: "10.20.0.11",
      localPort: 41_000 + n,
      remoteAddress: state.dialect === "pg" ? "10.20.0.40" : "10.20.0.30",
      remotePort: state.dialect === "pg" ? 5432 : 3306,
    },
    process: { pid: 2_000 + Math.floor(n / 3), ...process },
    ...state,
  };
}

const shop = { comm: "node", workload: "shop.service" };
const ledger = { comm: "java", workload: "ledger.service" };
const reports = { comm: "python3", workload: "reports.slice" };

function shopConnections(prevented: number): ConnectionState[] {
  return [
    ...Array.from({ length: prevented }, (_, n) =>
      connection(
        n,
        {
          dialect: n % 3 === 0 ? "pg" : "mysql",
          guarantee: "prevented",
          mode: "enforce",
          why: "plaintext, enrolled at connect",
        },
        shop,
      ),
    ),
    connection(
      100,
      {
        dialect: "mysql",
        guarantee: "severed",
        mode: "enforce",
        why: "statements larger than the socket buffer leave in parts",
      },
      ledger,
    ),
    ...Array.from({ length: 4 }, (_, n) =>
      connection(
        110 + n,
        {
          dialect: "pg",
          guarantee: "observed",
          mode: "observe",
          why: "the workload is observed; picket guard enforces it",
        },
        reports,
      ),
    ),
    connection(
      120,
      {
        dialect: "pg",
        guarantee: "unseen",
        mode: "observe",
        why: "TLS by a library without a hook (statically linked)",
      },
      { comm: "billing", workload: "billing.service" },
    ),
    {
      path: "/run/mysqld/mysqld.sock",
      dialect: "mysql",
      process: { pid: 913, comm: "mysqldump", workload: "backup.service" },
      mode: "observe",
      guarantee: "unseen",
      why: "UNIX socket: the kernel hook sees TCP only",
    },
  ];
}

export const hosts: SimulatedHost[] = [
  {
    hostname: "shop-1.eu.example.net",
    labels: { site: "eu", role: "shop" },
    connections: shopConnections(24),
    connectionsMore: {},
    losses: {},
    missing: [],
    statements: 4_182_311,
  },
  {
    hostname: "shop-2.eu.example.net",
    labels: { site: "eu", role: "shop" },
    connections: shopConnections(21),
    connectionsMore: {},
    losses: {},
    missing: [],
    statements: 3_905_740,
  },
  {
    hostname: "shop-3.us.example.net",
    labels: { site: "us", role: "shop" },
    connections: shopConnections(18),
    connectionsMore: { prevented: 40 },
    losses: { ring_full: 12 },
    missing: ["bpf_sock_destroy (6.5): a TLS connection can be observed, not cut"],
    statements: 9_120_008,
  },
  {
    hostname: "ledger-1.eu.example.net",
    labels: { site: "eu", role: "ledger", tier: "critical" },
    connections: shopConnections(3),
    connectionsMore: {},
    losses: {},
    missing: ["tp_btf/tcp_retransmit_skb was refused: retransmits are not counted"],
    statements: 611_209,
  },
  {
    hostname: "reports-1.us.example.net",
    labels: { site: "us", role: "reports" },
    connections: shopConnections(0),
    connectionsMore: {},
    losses: {},
    missing: [],
    statements: 88_120,
  },
];

export function report(
  host: SimulatedHost,
  { atMs, installed }: { atMs: number; installed: Installed[] },
): Report {
  const guarantees: Report["guarantees"] = { ...host.connectionsMore };
  for (const { guarantee } of host.connections) guarantees[guarantee] = (guarantees[guarantee] ?? 0) + 1;
  const lost = Object.values(host.losses).reduce((a, b) => a + b, 0);
  return {
    at: new Date(atMs).toISOString(),
    agentVersion: AGENT_VERSION,
    kernel: KERNEL,
    labels: host.labels,
    installed,
    counters: installed
      .filter(each => each.kind === "active")
      .map(({ ruleSet, version: v }) => ({
        ruleSet,
        version: v,
        statements: host.statements,
        known: host.statements - 1_204,
        unknown: 1_130,
        neverKnown: 74,
        blocked: 9,
        severed: 1,
        wouldBlock: 3,
      })),
    events: { emitted: 1_204 + lost, received: 1_204, lost, spooled: 1_204, uploaded: 1_204 },
    losses: host.losses,
    shapesLearned: 312,
    connections: host.connections,
    connectionsTotal: Object.values(guarantees).reduce((a, b) => a + (b ?? 0), 0),
    guarantees,
    overrides:
      host.labels.role === "ledger"
        ? [
            {
              shape: "9f2c".padEnd(64, "0"),
              action: "block",
              reason: "incident 4711: stop the export until it is understood",
              expiresAt: new Date(atMs + 3_600_000).toISOString(),
            },
          ]
        : [],
    agent: { residentBytes: 58_400_000, cpuSeconds: 41.2, uptimeSeconds: 86_400 },
    missing: host.missing,
  };
}

export function active(
  n: number,
  bundle: BundleDigest,
  {
    sinceMs,
    share = 10_000,
    assignment = null,
    generation = 0,
  }: { sinceMs: number; share?: number } & Partial<Pick<Installed, "assignment" | "generation">>,
): Installed {
  return {
    kind: "active",
    ruleSet: RULE_SET,
    version: version(n),
    bundle,
    assignment,
    generation,
    share,
    slot: n % 8,
    since: new Date(sinceMs).toISOString(),
  };
}

export const VERIFIER_LINES = `verifier: invalid access to map value, value_size=64 off=61 size=4
; state->tail = *(__u32 *)(buf + at);
218: (61) r3 = *(u32 *)(r2 +61)
R2_w=map_value(map=states,ks=8,vs=64) R3=scalar()
processed 141027 insns (limit 1000000) max_states_per_insn 4 total_states 3120`;

export function refused(
  n: number,
  kept: number | null,
  {
    sinceMs,
    assignment = null,
    generation = 0,
  }: { sinceMs: number } & Partial<Pick<Installed, "assignment" | "generation">>,
): Installed {
  return {
    kind: "kept-last-good",
    ruleSet: RULE_SET,
    version: kept === null ? null : version(kept),
    refused: version(n),
    assignment,
    generation,
    because: { code: "verifier-refused", detail: VERIFIER_LINES },
    since: new Date(sinceMs).toISOString(),
  };
}

const endpoints = {
  localAddress: "10.20.0.11",
  localPort: 41_018,
  remoteAddress: "10.20.0.30",
  remotePort: 3306,
};
const nodeProcess = {
  pid: 2_031,
  comm: "node",
  executable: "/usr/bin/node",
  cgroup: "/system.slice/shop.service",
  workload: "shop.service",
};

type Statement = Extract<Detection, { kind: "statement" }>;

function statement(atMs: number, over: Partial<Statement> & Pick<Statement, "sql" | "causalKey">): Detection {
  return DetectionSchema.parse({
    id: randomUUID(),
    at: new Date(atMs).toISOString(),
    priority: "P1",
    kind: "statement",
    verdict: "attack",
    action: "block",
    guarantee: "prevented",
    dialect: "mysql",
    message: "query",
    shape: "5e1d0c".padEnd(64, "a"),
    rules: ["union-select"],
    danger: ["union"],
    stage: "kernel",
    ruleSet: RULE_SET,
    version: 3,
    slot: 3,
    process: nodeProcess,
    endpoints,
    connection: "0000000000004a1f",
    ...over,
  });
}

/** An attack on the product page, as a statement that the kernel stops. */
export const blockedUnion = (atMs: number): Detection =>
  statement(atMs, {
    sql: "SELECT id, name, price FROM products WHERE category = ? UNION SELECT ?, user, password FROM accounts -- ",
    causalKey: "statement/shop/union-select",
    rules: ["union-select", "trailing-comment"],
    danger: ["union", "comment"],
    stage: "drift",
    user: "shop",
    database: "orders",
    // From the placeholder to the end.
    evidence: [
      {
        rule: "drift-splice",
        stage: "drift",
        start: 54,
        end: 104,
        template: "select id , name , price from products where category = ?",
        replaced: [56, 57],
        inserted: "? union select ? , user , password from accounts --",
      },
    ],
  });

export function detections(nowMs: number): Detection[] {
  const ago = (seconds: number) => nowMs - seconds * 1_000;
  const day = 86_400_000;
  const certificate = {
    subject: "CN=ledger-db.eu.example.net",
    issuer: "CN=Example Net Internal CA 2",
    serial: "4f9a11",
    fingerprint: "c0ffee".padEnd(64, "1"),
    notBefore: new Date(nowMs - 84 * day).toISOString(),
    notAfter: new Date(nowMs + 6 * day).toISOString(),
    names: ["ledger-db.eu.example.net", "10.20.0.40"],
  };
  return [
    statement(ago(5_400), {
      sql: "SELECT * FROM orders WHERE customer = ? AND status IN (?)",
      causalKey: "statement/shop/shape-blocked",
      verdict: "benign",
      action: "block",
      stage: "shape",
      rules: ["orders-export"],
      danger: [],
      priority: "P2",
    }),
    statement(ago(2_900), {
      sql: "SELECT id FROM accounts WHERE name = ? OR ? = ?",
      causalKey: "statement/shop/tautology",
      rules: ["tautology"],
      danger: ["literal-operator-literal"],
      guarantee: "observed",
      stage: "token-rules",
    }),
    statement(ago(2_899), {
      sql: "SELECT id FROM accounts WHERE name = ? OR ? = ?",
      causalKey: "statement/shop/tautology",
      rules: ["tautology"],
      danger: ["literal-operator-literal"],
      count: 14,
    }),
    statement(ago(1_260), {
      sql: "SELECT count(*) FROM visits WHERE day > ? AND (SELECT ? FROM (SELECT SLEEP(?)) t)",
      causalKey: "statement/reports/sleep",
      verdict: "probe",
      rules: ["time-delay"],
      danger: ["sleep"],
      guarantee: "observed",
      wouldBlock: true,
      stage: "token-rules",
      process: { pid: 771, comm: "python3", workload: "reports.slice" },
    }),
    statement(ago(830), {
      sql: "INSERT INTO notes (author, body) VALUES (?, ?); DROP TABLE notes; --\u202e ",
      causalKey: "statement/ledger/stacked",
      dialect: "pg",
      rules: ["stacked-statement"],
      danger: ["second-statement", "comment"],
      guarantee: "severed",
      process: { pid: 3_310, comm: "java", workload: "ledger.service" },
      endpoints: { ...endpoints, remoteAddress: "10.20.0.40", remotePort: 5432 },
      priority: "P0",
    }),
    {
      id: randomUUID() as Detection["id"],
      at: new Date(ago(610)).toISOString(),
      kind: "connection",
      priority: "P3",
      causalKey: "connection/billing/tls",
      what: "unseen",
      why: "TLS by a library without a hook (statically linked): what it sends is not judged",
      process: { pid: 4_120, comm: "billing", workload: "billing.service" },
      endpoints: { ...endpoints, remoteAddress: "10.20.0.40", remotePort: 5432 },
    },
    {
      id: randomUUID() as Detection["id"],
      at: new Date(ago(300)).toISOString(),
      kind: "certificate",
      priority: "P0",
      causalKey: "certificate/10.20.0.40:5432",
      host: "ledger-db.eu.example.net",
      port: 5432,
      dialect: "pg",
      certificate,
      handshake: "failed",
      error: "certificate verify failed: unable to get local issuer certificate",
    },
    statement(ago(95), {
      sql: "SELECT table_name FROM information_schema.tables WHERE table_schema = ?",
      causalKey: "statement/shop/catalogue",
      verdict: "probe",
      action: "alert",
      rules: ["catalogue-read"],
      danger: ["catalogue"],
      guarantee: "observed",
      stage: "token-rules",
      priority: "P3",
    }),
    blockedUnion(ago(12)),
  ];
}
