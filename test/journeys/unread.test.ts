/**
 * Responses of 1 B to 16 MB lie unread in enrolled sockets while the agent is killed, stopped or restarted: not
 * one byte is lost, ioctl(FIONREAD) (Java's available()) tells the truth unless the workload was said never to ask,
 * and each connection goes on.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Agent, forget, startAgent } from "../harness/agent.ts";
import { type Cgroup, inCgroup, makeCgroup, startPostgreSQL } from "../harness/index.ts";
import { DATABASE, SHOP_RULES } from "./shop-rules.ts";

const CLIENT = fileURLToPath(new URL("./clients/unread.py", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "picket-unread-"));
let postgresql: Awaited<ReturnType<typeof startPostgreSQL>>;
let cgroup: Cgroup;

beforeAll(async () => {
  chmodSync(scratch, 0o755); // The server's account reads the file.
  const trust = join(scratch, "pg_hba.conf");
  writeFileSync(trust, "local all all trust\nhost all all 127.0.0.1/32 trust\n", { mode: 0o644 });
  cgroup = makeCgroup(`picket-test-unread-${process.pid}`);
  postgresql = await startPostgreSQL({ database: DATABASE, settings: { hba_file: trust } });
});

afterAll(async () => {
  await postgresql?.stop();
  await cgroup?.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const endings: [
  what: string,
  end: (agent: Agent, start: () => Promise<Agent>) => Promise<Agent | undefined>,
][] = [
  [
    "killed with SIGKILL",
    async agent => {
      await agent.kill();
      return undefined;
    },
  ],
  [
    "stopped",
    async agent => {
      await agent.stop();
      return undefined;
    },
  ],
  [
    "stopped and started again",
    async (agent, start) => {
      await agent.stop();
      return start();
    },
  ],
  [
    "killed and started again",
    async (agent, start) => {
      await agent.kill();
      return start();
    },
  ],
];

const cases = endings.flatMap(([what, end]) =>
  (["kept", "unused"] as const).map(fionread => [what, fionread, end] as const),
);

test.each(cases)(
  "responses unread while the agent is %s lose no byte, FIONREAD %s",
  async (_, fionread, end) => {
    const first = await startAgent({ cgroup: cgroup.path, rules: SHOP_RULES });
    const start = () =>
      startAgent({ cgroup: cgroup.path, rules: SHOP_RULES, state: first.state, instance: first.instance });
    await first.guard(cgroup.path, { fionread });
    const client = inCgroup(
      cgroup.path,
      ["python3", CLIENT, String(postgresql.port), postgresql.user, DATABASE],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    const lines = createInterface({ input: client.stdout! })[Symbol.asyncIterator]();
    const step = async () => JSON.parse((await lines.next()).value as string);

    const unread = await step();
    const detail = await fionreadCheck(first);
    if (fionread === "kept") expect(unread.available.every((bytes: number) => bytes > 0)).toBe(true);
    // Where the kernel needs no repair all are in one map.
    if (/repairs/.test(detail)) {
      const [, kept, plain] = /\((\d+) open.*\((\d+)\)/.exec(detail)!.map(Number);
      const open = unread.available.length;
      expect(fionread === "kept" ? [kept! >= open, plain] : [kept, plain! >= open]).toEqual(
        fionread === "kept" ? [true, 0] : [0, true],
      );
    }
    const agent = await end(first, start);
    client.stdin!.end("read\n");
    expect(await step()).toEqual({ step: "read", lost: {} });

    // A last start and stop takes away what a killed agent had to leave while sockets were open.
    await (agent ?? (await start())).stop();
    forget(first);
  },
);

async function fionreadCheck(agent: Agent): Promise<string> {
  const { checks } = await agent.call<{ checks: { name: string; detail: string }[] }>("GET", "/v1/doctor");
  return checks.find(({ name }) => name.includes("FIONREAD"))!.detail;
}
