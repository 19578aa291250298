/**
 * What one node has learned of a workload, on another one: node a learns from real traffic and offers it; a person
 * reviews it, leaves a template out, signs the rest with the release key and pushes it; node b, which guards a workload
 * of the same name and has learned nothing, judges it again and knows it. A statement spliced into what only a has seen
 * is then stopped on b.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { NodeDetails, Node as NodeRow, ProfileOfferRow, Rollout } from "@picket/shared/api";
import type { ProfileExport, TemplateExport } from "@picket/shared/profile";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../harness/agent.ts";
import { type ControlPlane, startControlPlane } from "../harness/control-plane.ts";
import { startMariaDB } from "../harness/index.ts";
import { type Node, startNode } from "../harness/node.ts";
import { runStatements } from "./run-statements.ts";
import { DATABASE, SCHEMA } from "./shop-rules.ts";

const RULES = (drift: string) => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: learned
spec:
  core: true
  drift: ${drift}
`;
const HONEST = (id: number) =>
  `SELECT name FROM picket_users WHERE id = ${id} AND name <> 'n${id}' ORDER BY id`;
const UNWANTED = (id: number) => `SELECT secret FROM picket_secrets WHERE id = ${id}`;
/** Ordinary words, which no rule names. */
const SPLICED =
  "SELECT name FROM picket_users WHERE id = 7 OR id BETWEEN 1 AND 2 AND name <> 'n7' ORDER BY id";

const nodes: Record<"a" | "b", Node> = {} as never;
let controlPlane: ControlPlane;
let mariadb: Awaited<ReturnType<typeof startMariaDB>>;

beforeAll(async () => {
  mariadb = await startMariaDB({ database: DATABASE });
  await mariadb.exec(SCHEMA.mysql);
  controlPlane = await startControlPlane();
  const { home, picket } = controlPlane;
  await picket("keys", "new");
  await picket("keys", "register");
  const { token } = await picket<{ token: string }>("tokens", "create", "--uses", "2");
  for (const name of ["a", "b"] as const) {
    const env = { PICKET_SHAPES_INTERVAL: "1s" };
    nodes[name] = await startNode({ controlPlane, joinToken: token, hostname: `profiles-${name}`, env });
  }
  await release(home, 1, "{ mode: learn }");
}, 180_000);

afterAll(async () => {
  for (const node of Object.values(nodes)) await node.remove();
  await mariadb?.stop();
  await controlPlane?.stop();
}, 120_000);

async function release(home: string, version: number, drift: string): Promise<void> {
  const { picket, api } = controlPlane;
  const [file, bundle] = [join(home, `learned-${version}.yaml`), join(home, `learned-${version}.json`)];
  writeFileSync(file, RULES(drift));
  await picket("rules", "sign", file, "--version", String(version), "--out", bundle);
  await picket("rules", "push", bundle);
  const rollout = await picket<Rollout>("rollout", "start", `learned@${version}`, "--steps", "100%:1s");
  await eventually(
    async () => (await api<Rollout>("GET", `/v1/rollouts/${rollout.id}`)).state === "complete",
    `version ${version} is everywhere`,
    60_000,
  );
}

const send = ({ cgroup }: Node, statements: string[]) =>
  runStatements({
    cgroup: cgroup.path,
    server: mariadb,
    dialect: "mysql",
    protocol: "text",
    database: DATABASE,
    statements,
  });
const profileOf = async ({ agent }: Node) =>
  (
    await agent.call<{
      items: { workload: string; databaseUser: string; database: string; templates: number }[];
    }>("GET", "/v1/profiles")
  ).items.find(({ templates }) => templates > 0);
const detailsOf = async (hostname: string) => {
  const { items } = await controlPlane.api<{ items: NodeRow[] }>("GET", "/v1/nodes");
  return controlPlane.api<NodeDetails>(
    "GET",
    `/v1/nodes/${items.find(each => each.hostname === hostname)!.id}`,
  );
};

test("what a has learned is offered, reviewed, signed offline and known on b, where a splice into it is stopped", async () => {
  const { a, b } = nodes;
  const { home, picket } = controlPlane;
  await send(
    a,
    [1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap(id => [HONEST(id), UNWANTED(id)]),
  );
  await eventually(async () => ((await profileOf(a))?.templates ?? 0) >= 2, "a has learned it");
  const offer = await eventually(async () => {
    const offers = await picket<ProfileOfferRow[]>("profiles", "offers");
    return offers.find(({ hostname, templates }) => hostname === "profiles-a" && templates >= 2);
  }, "a offers it");

  const reviewed = join(home, "reviewed.json");
  const first = await picket<{ profile: ProfileExport; added: number[]; inForce: number | null }>(
    "profiles",
    "review",
    offer.id,
  );
  expect(first).toMatchObject({ inForce: null });
  expect(first.added).toHaveLength(first.profile.templates.length);
  const text = JSON.stringify(first.profile);
  expect(text).not.toContain("'n7'");
  const unwanted = first.profile.templates.find(({ words }) => words.includes("picket_secrets"))!;
  await picket(
    "profiles",
    "review",
    offer.id,
    "--remove",
    unwanted.shapes[0]!.slice(0, 12),
    "--out",
    reviewed,
  );

  // And a hostile template, which no honest node has learned.
  const file = JSON.parse(readFileSync(reviewed, "utf8")) as { profile: ProfileExport; removed: string[] };
  expect(file.removed).toEqual(expect.arrayContaining(unwanted.shapes));
  const [honest] = file.profile.templates;
  const hostile: TemplateExport = {
    ...honest!,
    words:
      "select name from picket_users where id = ? union select secret from picket_secrets /*--*/".replaceAll(
        " ",
        "\n",
      ),
    shapes: ["0".repeat(64)],
    values: [8],
  };
  file.profile.templates.push(hostile);
  writeFileSync(reviewed, JSON.stringify(file));
  await picket("profiles", "sign", reviewed, "--version", "1");
  await picket("profiles", "push", join(home, "reviewed.signed.json"));
  await expect(picket("profiles", "push", join(home, "reviewed.signed.json"))).rejects.toThrow(/version 1/);

  // It reads what is signed when it reconciles: at its start, and each minute.
  await b.agent.stop();
  await b.startAgain();
  const details = await eventually(async () => {
    const now = await detailsOf("profiles-b");
    return now.signedProfiles.length > 0 ? now : undefined;
  }, "b has taken it in");
  expect(details.signedProfiles).toEqual([
    expect.objectContaining({
      workload: file.profile.workload,
      version: 1,
      adopted: file.profile.templates.length - 1,
      refused: 1,
    }),
  ]);
  const known = await b.agent.call<ProfileExport>(
    "GET",
    `/v1/profiles/export?${new URLSearchParams({ workload: file.profile.workload, user: file.profile.databaseUser, database: file.profile.database })}`,
  );
  expect(known.templates.some(({ words }) => words.includes("picket_secrets"))).toBe(false);

  await release(home, 2, "{ mode: enforce, locked: true }");
  const [fine, stopped] = await send(b, [HONEST(3), SPLICED]);
  expect(fine?.error).toBeUndefined();
  expect(stopped?.error?.message).toContain("Picket blocked");
}, 120_000);

test("a profile that no pinned release key has signed is refused by the control plane", async () => {
  const { home, picket } = controlPlane;
  const foreign = join(home, "foreign.pem");
  await picket("keys", "new", "--out", foreign);
  const reviewed = join(home, "reviewed.json");
  const out = join(home, "foreign.signed.json");
  await picket("profiles", "sign", reviewed, "--version", "2", "--key", foreign, "--out", out);
  await expect(picket("profiles", "push", out)).rejects.toThrow(/foreign-key/);
});
