/** Policies of the fleet's own: checked where they are written, in force at once, versioned, audited. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, Client, type Fleet, type Stores, startFleet, startStores } from "./fleet.ts";

let stores: Stores;
let fleet: Fleet;
let other: Fleet;
let operator: Client;
beforeAll(async () => {
  stores = await startStores();
  fleet = await startFleet(stores);
  other = await startFleet(stores);
  operator = await person("olga", "operator");
});
afterAll(async () => {
  await other?.close();
  await fleet?.close();
  await stores?.stop();
});

async function person(label: string, role: string, scope = {}): Promise<Client> {
  const { token } = await fleet.admin.call<{ token: string }>("POST", "/v1/api-tokens", {
    label,
    role,
    scope,
  });
  return new Client(fleet.url, token);
}

const put = (name: string, text: string) => fleet.admin.call("PUT", `/v1/policies/${name}`, { text });

const NO_PRODUCTION = `// Production is rolled out by the release team.
@id("production")
forbid (principal, action == Action::"rollouts.start", resource)
when { resource.labels.contains("env=prod") } unless { principal.name == "release-team" };
`;

test("an own policy holds at once, at every process, for whom it names, and ends when it is removed", async () => {
  const start = (client: Client) =>
    client.refusal("POST", "/v1/rollouts", {
      ruleSet: "none",
      version: 1,
      selector: { env: "prod" },
      steps: [{ percent: 100, soak: "0s" }],
    });
  const elsewhere = new Client(other.url, operator.token);
  expect(await start(operator)).toMatchObject({ code: "not-found" });

  expect(await put("own-production", NO_PRODUCTION)).toMatchObject({ version: 1, createdBy: "bootstrap" });
  for (const client of [operator, elsewhere])
    expect(await start(client)).toMatchObject({
      status: 403,
      detail: "the policy own-production/production forbids it",
    });
  expect(await start(await person("release-team", "operator"))).toMatchObject({ code: "not-found" });

  expect(await put("own-production", NO_PRODUCTION.replace("env=prod", "env=live"))).toMatchObject({
    version: 2,
  });
  expect(await start(operator)).toMatchObject({ code: "not-found" });

  await fleet.admin.call("DELETE", "/v1/policies/own-production");
  expect(await fleet.admin.call("GET", "/v1/policies")).toMatchObject({ items: [] });
  const { items } = await fleet.admin.call<{ items: { version: number; text: string | null }[] }>(
    "GET",
    "/v1/policies?history=true",
  );
  expect(items.map(({ version, text }) => [version, text === null])).toEqual([
    [3, true],
    [2, false],
    [1, false],
  ]);
  expect(await fleet.admin.refusal("DELETE", "/v1/policies/own-production")).toMatchObject({ status: 404 });
  const audit = await fleet.admin.call<{ items: { verb: string; subject: string }[] }>("GET", "/v1/audit");
  expect(audit.items.filter(({ subject }) => subject.startsWith("policy:")).map(({ verb }) => verb)).toEqual([
    "remove-policy",
    "put-policy",
    "put-policy",
  ]);
});

test("a policy that is called by a number does not hide the one that stands there", async () => {
  await put(
    "own-numbers",
    `@id("2") forbid (principal == Person::"numbers", action == Action::"nodes.list", resource);
     forbid (principal == Person::"numbers", action == Action::"rollouts.list", resource);`,
  );
  const numbers = await person("numbers", "viewer");
  for (const path of ["/v1/nodes", "/v1/rollouts"])
    expect(await numbers.refusal("GET", path)).toMatchObject({ status: 403 });
  await fleet.admin.call("DELETE", "/v1/policies/own-numbers");
});

test("an own policy may permit what a role does not, within what it says", async () => {
  await put(
    "own-helpdesk",
    `permit (principal == Person::"helpdesk", action == Action::"nodes.quarantine", resource)
     when { resource.labels.contains("env=test") };`,
  );
  const helpdesk = await person("helpdesk", "viewer");
  const [mine, not] = [await fleet.join("t", { env: "test" }), await fleet.join("p", { env: "prod" })];
  await helpdesk.call("POST", `/v1/nodes/${mine.id}/quarantine`, { reason: "asked for" });
  expect(
    await helpdesk.refusal("POST", `/v1/nodes/${not.id}/quarantine`, { reason: "asked for" }),
  ).toMatchObject({ status: 403, detail: "this needs the role operator" });
  await fleet.admin.call("DELETE", "/v1/policies/own-helpdesk");
});

describe("a policy that is wrong is refused with its line and what was meant", () => {
  test.each([
    [
      "an unknown action",
      'forbid (principal,\n  action == Action::"nodes.retyre",\n  resource);',
      /line 2, column 13: .*nodes\.retyre.*did you mean.*nodes\.retire/s,
    ],
    [
      "an attribute that no such thing has",
      'forbid (principal, action, resource)\nwhen { resource.lables.contains("x=y") };',
      /line 2, column \d+: .*lables/,
    ],
    ["no Cedar at all", "permit everything", /line 1, column \d+: /],
    [
      "text after characters of several bytes",
      "// Ünïcödé – 漢字\nforbid (principal, action resource);",
      /line 2, column 27: /,
    ],
    [
      "a policy that can never apply",
      'forbid (principal, action == Action::"nodes.show", resource is Fleet);',
      /line 1, column 1: .*impossible|line 1, column 1: .*applicable/,
    ],
    [
      "a comparison of different kinds",
      "forbid (principal, action, resource) when { principal.name == 3 };",
      /line 1, column \d+: /,
    ],
    ["nothing", "// only a comment", /there is no policy in it/],
    ["a template", "permit (principal == ?principal, action, resource);", /template/],
    [
      "one name twice",
      '@id("x") forbid (principal == Person::"a", action, resource);\n@id("x") forbid (principal == Person::"b", action, resource);',
      /two policies are called/,
    ],
  ])("%s", async (_, text, wanted) => {
    expect(await fleet.admin.refusal("PUT", "/v1/policies/own-x", { text })).toMatchObject({
      status: 422,
      code: "policy-invalid",
      detail: expect.stringMatching(wanted),
    });
  });
});

test("nobody can lock themselves out, and a node is never cut off by a policy of people", async () => {
  expect(
    await fleet.admin.refusal("PUT", "/v1/policies/own-x", {
      text: "forbid (principal is Person, action, resource);",
    }),
  ).toMatchObject({ status: 409, detail: expect.stringContaining("lock you out") });
  const node = await fleet.join("never-cut-off");
  await put(
    "own-x",
    'forbid (principal, action, resource) unless { principal has name && principal.name == "bootstrap" };',
  );
  expect(await operator.refusal("GET", "/v1/nodes")).toMatchObject({ status: 403 });
  await node.report();
  expect(await node.poll(0)).toBeNull();
  await fleet.admin.call("DELETE", "/v1/policies/own-x");
  await operator.call("GET", "/v1/nodes");
});

test("stored policies that do not hold any more let nobody do anything but change them", async () => {
  await put("own-old", 'forbid (principal == Person::"x", action, resource);');
  await ask(
    stores,
    "insert into policies (name, version, text, created_at, created_by) values ('own-old', 2, 'forbid (principal, action == Action::\"gone\", resource);', now(), 'an older version')",
  );
  expect(await operator.refusal("GET", "/v1/nodes")).toMatchObject({
    status: 403,
    detail: expect.stringContaining("does not hold any more"),
  });
  expect(await operator.refusal("DELETE", "/v1/policies/own-old")).toMatchObject({ status: 403 });
  await fleet.admin.call("DELETE", "/v1/policies/own-old");
  await operator.call("GET", "/v1/nodes");
});

test("a rule set belongs to the scope of who pushed it first", async () => {
  const [a, b] = [
    await person("author-a", "author", { team: "a" }),
    await person("author-b", "author", { team: "b" }),
  ];
  await fleet.push("core", 1);
  const refused = { status: 403, detail: expect.stringContaining("outside team=") };
  expect(await a.refusal("POST", "/v1/rule-sets/core/versions", {})).toMatchObject(refused);
  const { bundle } = await import("./fleet.ts");
  const { signBundle } = await import("@picket/shared/bundle");
  const push = (client: Client, version: number) =>
    client.call(
      "POST",
      "/v1/rule-sets/team-a-rules/versions",
      signBundle(bundle("team-a-rules", version), [fleet.releaseKey]),
    );
  await push(a, 1);
  expect(await b.refusal("POST", "/v1/rule-sets/team-a-rules/versions", {})).toMatchObject(refused);
  await push(a, 2);
  await push(fleet.admin, 3);
  expect(await b.refusal("POST", "/v1/rule-sets/team-a-rules/versions", {})).toMatchObject(refused);
});

test("an API token ends when its time is over, and tells when it was used last", async () => {
  const short = await fleet.admin.call<{ id: string; token: string; expiresAt: string }>(
    "POST",
    "/v1/api-tokens",
    {
      label: "short",
      role: "viewer",
      ttl: "1h",
    },
  );
  expect(Date.parse(short.expiresAt)).toBeGreaterThan(Date.now());
  const shown = async () =>
    (
      await fleet.admin.call<{ items: { id: string; lastUsedAt: string | null }[] }>("GET", "/v1/api-tokens")
    ).items.find(({ id }) => id === short.id)!;
  expect((await shown()).lastUsedAt).toBeNull();
  const client = new Client(fleet.url, short.token);
  await client.call("GET", "/v1/me");
  expect((await shown()).lastUsedAt).not.toBeNull();
  const cookie = await fetch(`${fleet.url}/v1/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: short.token }),
  }).then(response => response.headers.get("set-cookie")!.split(";")[0]!);
  await ask(stores, "update api_tokens set expires_at = now() where id = $1", [short.id]);
  expect(await client.refusal("GET", "/v1/me")).toMatchObject({ status: 401 });
  expect((await fetch(`${fleet.url}/v1/me`, { headers: { cookie } })).status).toBe(401);
});

test("a policy in force is shown however often others were changed since", async () => {
  await put("own-kept", NO_PRODUCTION.replace("env=prod", "env=none"));
  await ask(
    stores,
    `insert into policies (name, version, text, created_at, created_by)
     select 'busy', i, null, now(), 'x' from generate_series(1, 1001) as i`,
  );
  const { items } = await fleet.admin.call<{ items: { name: string }[] }>("GET", "/v1/policies");
  expect(items.map(({ name }) => name)).toContain("own-kept");
  await fleet.admin.call("DELETE", "/v1/policies/own-kept");
});

test("an id that another policy of the text would be called by is refused", async () => {
  const text = `@id("#2") ${NO_PRODUCTION.slice(NO_PRODUCTION.indexOf("forbid"))}`;
  expect(
    await fleet.admin.refusal("PUT", "/v1/policies/own-twice", {
      text: text + text.replace('@id("#2") ', ""),
    }),
  ).toMatchObject({ code: "policy-invalid", detail: expect.stringContaining('@id("#2")') });
});
