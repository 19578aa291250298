/**
 * A rollout of a version whose slot program one kernel of three refuses, as `picket rollout watch` shows it: real
 * agents on this host's kernel and, as QEMU guests, on Debian's 6.1 and 6.12, each with a client that asks a real
 * MariaDB all the time. The refusal is 6.1's own: the program is the one that ships, with one instruction that its
 * verifier does not know. Then an operator rolls back.
 *
 *     npm run bench -- verifier [--out=docs/images/verifier.txt]
 */
import { execFile, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import type { Node as NodeRow, Rollout, RolloutDetails } from "@picket/shared/api";
import type { Report } from "@picket/shared/contract";
import { eventually } from "../harness/agent.ts";
import { startControlPlane } from "../harness/control-plane.ts";
import { startGuest } from "../harness/guest.ts";
import { startMariaDB } from "../harness/index.ts";
import { startNode } from "../harness/node.ts";
import { DATABASE, SCHEMA, SHOP_RULES } from "../journeys/shop-rules.ts";

const repository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const PICKET = repository("packages/cli/bin/picket.mjs");
const KERNELS = ["6.1", "6.12"];
const REFUSING = "6.1";
const GUEST_MS_MAX = 900_000;
/** How long it is looked at, with clients asking, before and after each change. */
const LOOKED_AT_MS = 10_000;
const COLUMNS = 132;
const REDRAWN = new RegExp(`${"\x1b"}\\[\\d+A${"\x1b"}\\[0J`);
const execute = promisify(execFile);
const sleep = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));

type Said = { sent: number; answered: number; blocked: number; wrong: string[] } & Pick<
  Report,
  "installed" | "counters" | "losses"
>;

/**
 * The slot program with one instruction of the set that `-mcpu=v4` gives, as a build for newer kernels has it: a move
 * that extends the sign (Linux 6.6; Documentation/bpf/standardization/instruction-set.rst). Written as bytes, since the
 * compiler that is pinned here does not know it.
 */
async function otherSlot(scratch: string): Promise<string> {
  const to = join(scratch, "bpf");
  cpSync(repository("packages/bpf"), to, { recursive: true, filter: path => !path.includes("node_modules") });
  const header = join(to, "src/report.h");
  const text = readFileSync(header, "utf8");
  const before = "bytes = ((bytes - 1) & (room - 1)) + 1;";
  const changed = text.replace(before, `${before}\n\tasm volatile("r0 = 1\\n.quad 0x000800bf" ::: "r0");`);
  if (changed === text) throw new Error("report.h has no such line any more: choose another");
  writeFileSync(header, changed);
  await execute("make", ["-C", to, "dist/slot.bpf.o"]);
  return join(to, "dist/slot.bpf.o");
}

export async function run({ json }: { json: boolean }): Promise<Record<string, unknown>> {
  const scratch = mkdtempSync(join(tmpdir(), "picket-verifier-"));
  const undo: (() => unknown)[] = [() => rmSync(scratch, { recursive: true, force: true })];
  const note = (text: string) => json || console.log(`# ${text}`);
  try {
    const mariadb = await startMariaDB({ database: DATABASE });
    undo.push(() => mariadb.stop());
    await mariadb.exec(SCHEMA.mysql);
    const controlPlane = await startControlPlane();
    undo.push(() => controlPlane.stop());
    const { picket, api, home, url, token } = controlPlane;
    await picket("keys", "new");
    await picket("keys", "register");
    const rules = join(home, "shop.yaml");
    writeFileSync(rules, SHOP_RULES.replace("name: journeys", "name: shop"));
    const objects = [[], ["--object", await otherSlot(scratch)]];
    for (const [i, object] of objects.entries()) {
      const bundle = join(home, `shop-${i + 1}.bundle.json`);
      await picket("rules", "sign", rules, "--version", String(i + 1), "--out", bundle, ...object);
      await picket("rules", "push", bundle, ...object);
    }
    const join3 = await picket<{ token: string }>("tokens", "create", "--uses", "3");

    const said = new Map<string, Said>();
    const heard = (name: string) => (line: string) => {
      const at = line.indexOf("@client {");
      if (at < 0 || !line.endsWith("}")) {
        if (process.env.BENCH_TRACE || line.includes('"level":50')) note(`${name}: ${line.slice(0, 400)}`);
        return;
      }
      said.set(name, JSON.parse(line.slice(at + "@client ".length)) as Said);
    };
    const clientEnv = { DATABASE, DATABASE_HOST: "127.0.0.1", DATABASE_PORT: String(mariadb.port) };
    const startedMs = Date.now();
    for (const kernel of KERNELS) {
      const guest = startGuest({
        kernel,
        env: {
          ...clientEnv,
          PICKET_URL: url,
          PICKET_JOIN_TOKEN: join3.token,
          PICKET_HOSTNAME: `linux-${kernel}`,
        },
        onLine: heard(kernel),
      });
      undo.push(() => guest.stop());
    }
    const native = await startNode({ controlPlane, joinToken: join3.token, hostname: "linux-native" });
    undo.push(() => native.remove());
    const client = spawn(process.execPath, [repository("test/kernels/guest-client.mjs")], {
      env: {
        ...process.env,
        ...clientEnv,
        AGENT_SOCKET: join(native.agent.state, "agent.sock"),
        GUARDED: native.cgroup.path,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    undo.push(() => client.kill());
    let rest = "";
    client.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      for (const line of lines) heard("native")(line);
    });

    const nodes = async () => (await api<{ items: NodeRow[] }>("GET", "/v1/nodes")).items;
    const isThere = async () => (await nodes()).length === 3 || undefined;
    await eventually(isThere, "three nodes enrol", GUEST_MS_MAX);
    note(`three nodes after ${Math.round((Date.now() - startedMs) / 1_000)} s`);
    const rollout = (id: string) => api<RolloutDetails>("GET", `/v1/rollouts/${id}`);
    const begin = (version: number) =>
      picket<Rollout>("rollout", "start", `shop@${version}`, "--steps", "100%:1s", "--compare", "off");
    const first = await begin(1);
    const complete = async () => (await rollout(first.id)).state === "complete" || undefined;
    await eventually(complete, "version 1 is everywhere", GUEST_MS_MAX);
    await eventually(() => said.size === 3 || undefined, "three clients ask", GUEST_MS_MAX);
    note(`version 1 everywhere after ${Math.round((Date.now() - startedMs) / 1_000)} s`);

    const terminal = async (args: string): Promise<string> => {
      const typescript = join(scratch, `typescript-${args.replace(/\W+/g, "-")}`);
      const command = `stty cols ${COLUMNS} rows 50; '${process.execPath}' '${PICKET}' ${args}`;
      await execute("script", ["-q", "-c", command, typescript], {
        env: { ...process.env, PICKET_URL: url, PICKET_TOKEN: token, XDG_CONFIG_HOME: home, TERM: "xterm" },
        timeout: GUEST_MS_MAX,
      });
      return readFileSync(typescript, "utf8")
        .replace(/\r/g, "")
        .replace(/^Script started.*\n/, "")
        .replace(/\n*Script done.*\n*$/, "");
    };
    const moments: { moment: string; node: string; said: Said }[] = [];
    const look = async (moment: string) => {
      await sleep(LOOKED_AT_MS);
      for (const [node, each] of said) moments.push({ moment, node, said: each });
    };
    const kindOf = (node: string) => said.get(node)!.installed.find(({ ruleSet }) => ruleSet === "shop");
    await look("before");
    const second = await begin(2);
    const watching = terminal(`rollout watch ${second.id}`);
    const refused = () => kindOf(REFUSING)?.kind === "kept-last-good" || undefined;
    await eventually(refused, `${REFUSING} refuses version 2`, GUEST_MS_MAX);
    const others = () =>
      ["native", "6.12"].every(node => {
        const told = kindOf(node);
        return told?.kind === "active" && told.version === 2;
      }) || undefined;
    await eventually(others, "the others run version 2", GUEST_MS_MAX);
    await look("refused");
    const waiting = await rollout(second.id);
    const explained = stripVTControlCharacters(await terminal(`rollout explain ${second.id}`));
    const refuser = (await nodes()).find(({ hostname }) => hostname === `linux-${REFUSING}`)!;
    const shown = stripVTControlCharacters(await terminal(`nodes show ${refuser.id}`));
    await picket("rollout", "rollback", second.id);
    const watched = (await watching).split(REDRAWN).map(stripVTControlCharacters);
    await look("rolled back");

    const state = (frame: string) => frame.match(/^(?:State|Gate) .*$/gm)?.join();
    const settled = watched.filter(frame => !frame.includes(" not installed yet"));
    const frames = settled.filter((frame, i) => i === 0 || state(frame) !== state(settled[i - 1]!));
    const table = moments.map(
      ({ moment, node, said: { sent, answered, blocked, wrong, counters, losses } }) => {
        const ours = counters.filter(({ ruleSet }) => ruleSet === "shop");
        const judged = ours.reduce((sum, { statements }) => sum + statements, 0);
        const versions = ours.map(({ version }) => version).join();
        const lost = Object.keys(losses).length === 0 ? "none" : JSON.stringify(losses);
        return [
          moment.padEnd(12),
          node.padEnd(7),
          ...[versions, sent, judged, answered, blocked, wrong.length].map(value =>
            String(value).padStart(8),
          ),
          `  ${lost}`,
        ].join(" ");
      },
    );
    const section = (args: string, text: string) => [`$ picket ${args}`, text.trimEnd(), ""];
    const recorded = [
      ...section(`rollout watch ${second.id.slice(0, 8)}`, frames.map(frame => frame.trimEnd()).join("\n\n")),
      ...section(`rollout explain ${second.id.slice(0, 8)}`, explained),
      ...section(`nodes show ${refuser.id.slice(0, 8)}`, shown),
      "What the clients sent, and what became of it (half of it attacks); judged: by the slot that is stable now",
      "MOMENT       NODE     VERSION     SENT   JUDGED ANSWERED  BLOCKED    WRONG  LOST",
      ...table,
      "",
    ].join("\n");
    if (!json) console.log(recorded);
    const out = process.argv.find(arg => arg.startsWith("--out="))?.slice("--out=".length);
    if (out !== undefined) writeFileSync(out, recorded);
    return { name: "verifier", state: waiting.state, frames: frames.length, moments: moments.length };
  } finally {
    for (const each of undo.reverse()) await each();
  }
}
