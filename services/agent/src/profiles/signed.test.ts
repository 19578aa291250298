import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Escalation } from "@picket/judge/ast/escalation";
import { lex } from "@picket/native/lexer";
import { publicKeyOf } from "@picket/shared/dsse";
import type { SignedProfile, TemplateExport } from "@picket/shared/profile";
import { signProfile } from "@picket/shared/signed-profile";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CORE_ONLY, createCompiler } from "../rules/compile.ts";
import type { Loaded } from "../rules/versions.ts";
import { Profiles } from "./profiles.ts";
import { SignedProfiles } from "./signed.ts";

const NOW = Date.parse("2026-11-01T12:00:00Z");
const release = generateKeyPairSync("ed25519").privateKey;
const escalation = new Escalation();
const compiled = createCompiler({ key: 3n, start: 5n }, escalation)(CORE_ONLY, "core");
if (!compiled.ok) throw new Error(compiled.error);
const rules = compiled.value;

let directory: string;
let profiles: Profiles;
let signed: SignedProfiles;
let changes: number;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-signed-"));
  profiles = new Profiles(directory);
  changes = 0;
  signed = new SignedProfiles({
    versions: { stable: {} as Loaded, judge: (_loaded, sent) => rules.judge(sent) },
    profiles,
    workloads: () => ["shop"],
    changed: () => {
      changes += 1;
    },
    nowMs: () => NOW,
  });
});
afterEach(async () => {
  await escalation.close();
  rmSync(directory, { recursive: true, force: true });
});

const shapeOf = (statement: string) =>
  lex(statement.replaceAll("?", "1").replaceAll("/*--*/", "-- \n"), { dialect: "mysql", session: 0 })
    .shapeSha256;
const template = (words: string, change: Partial<TemplateExport> = {}): TemplateExport => ({
  dialect: "mysql",
  words: words.replaceAll(" ", "\n"),
  shapes: [shapeOf(words)],
  rules: [],
  count: 9,
  firstSeenMs: 0,
  lastSeenMs: 0,
  processes: 2,
  values: [4],
  ...change,
});
const HONEST = template("select name from users where id = ?");
const UNION = template("select name from users where id = ? union select secret from vault /*--*/");
const profile = (
  version: number,
  templates: TemplateExport[],
  change: Partial<SignedProfile> = {},
): SignedProfile => ({
  format: 1,
  version,
  profile: {
    kind: "picket-profile-1",
    workload: "shop",
    databaseUser: "app",
    database: "orders",
    mode: "learn",
    locked: false,
    templates,
  },
  removed: [],
  createdAt: "2026-11-01T00:00:00.000Z",
  expiresAt: "2026-12-01T00:00:00.000Z",
  ...change,
});
const take = (content: SignedProfile, key = release) =>
  signed.take(signProfile(content, key), { keys: [publicKeyOf(release)], threshold: 1 });

test("what this node's rules call an attack is left out; the rest is known, and it is told", async () => {
  expect(await take(profile(1, [HONEST, UNION]))).toMatchObject({ ok: true });
  expect(profiles.know(HONEST.shapes[0]!)).toBe(true);
  expect(profiles.know(UNION.shapes[0]!)).toBe(false);
  expect(profiles.adopted()).toMatchObject([{ workload: "shop", version: 1, adopted: 1, refused: 1 }]);
  expect(changes).toBe(1);
});

test("others get their turn while many templates are judged", async () => {
  let [turns, counting] = [0, true];
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const many = Array.from({ length: 2_000 }, (_, i) => template(`select name from users_${i} where id = ?`));
  await take(profile(1, many));
  counting = false;
  expect(profiles.adopted()).toMatchObject([{ adopted: 2_000 }]);
  expect(turns).toBeGreaterThan(2);
});

test("what its reviewer vouches for by rule is known all the same", async () => {
  const statement = {
    sql: Buffer.from("select name from users where id = 1 union select secret from vault -- \n"),
  };
  const { rules: met } = rules.judge({ ...statement, dialect: "mysql", session: 0 });
  await take(profile(1, [{ ...UNION, rules: met }]));
  expect(profiles.know(UNION.shapes[0]!)).toBe(true);
});

test("an honest template's signature brings in no other statement's shape, and no waiver of rules that it does not meet", async () => {
  const sql = Buffer.from("select name from users where id = 1 union select secret from vault -- \n");
  expect(UNION.shapes).toEqual([lex(sql, { dialect: "mysql", session: 0 }).shapeSha256]);
  const sent = { sql, dialect: "mysql", session: 0 } as const;
  const cold = rules.judge(sent);
  expect(cold).toMatchObject({ verdict: "attack", action: "block" });
  expect(await take(profile(1, [{ ...HONEST, shapes: UNION.shapes, rules: cold.rules }]))).toMatchObject({
    ok: true,
  });
  expect(profiles.adopted()).toMatchObject([{ adopted: 1, refused: 0 }]);
  const { profile: exported } = profile(1, []);
  const learned = profiles.of(
    exported,
    { mode: "alert", locked: false, learnForMs: 0, learnStatements: 0 },
    NOW,
  );
  expect(rules.judge({ ...sent, profile: learned! })).toMatchObject({ verdict: "attack", action: "block" });
  expect(profiles.export(exported)?.templates).toMatchObject([{ shapes: HONEST.shapes, rules: [] }]);
});

test("words that no statement reads back as are not taken in: what was judged would be another statement", async () => {
  const quoted = template('select "x`" from users where id = ? union select secret from "`y"');
  await take(profile(1, [HONEST, quoted]));
  expect(profiles.adopted()).toMatchObject([{ adopted: 1, refused: 1 }]);
});

test("of what was taken in, what a later version leaves out by name is forgotten; an older version changes nothing", async () => {
  const other = template("select a from b where c = ?");
  await take(profile(2, [HONEST, other]));
  await take(profile(3, [HONEST], { removed: other.shapes }));
  expect(profiles.know(other.shapes[0]!)).toBe(false);
  await take(profile(2, [HONEST, other]));
  expect(profiles.know(other.shapes[0]!)).toBe(false);
  expect(new Profiles(directory).signedVersion(profile(1, []).profile)).toBe(3);
});

test.each([
  ["foreign-key", () => take(profile(1, [HONEST]), generateKeyPairSync("ed25519").privateKey)],
  ["expired", () => take(profile(1, [HONEST], { expiresAt: "2026-11-01T12:00:00.000Z" }))],
  ["malformed", () => signed.take({ hello: "world" }, { keys: [publicKeyOf(release)], threshold: 1 })],
  [
    "too-few-signatures",
    () =>
      signed.take(signProfile(profile(1, [HONEST]), release), { keys: [publicKeyOf(release)], threshold: 2 }),
  ],
])("%s: nothing of it is known", async (code, attempt) => {
  const taken = await attempt();
  expect(taken.ok ? "taken" : taken.error).toContain(code);
  expect(profiles.list()).toEqual([]);
});

test("what has changed is offered until it has arrived, and again when it changes", async () => {
  await take(profile(1, [HONEST]));
  const offered = () => [...profiles.offers()];
  expect(offered()).toHaveLength(1);
  const [first] = offered();
  expect(first!.offer.profile.templates).toHaveLength(1);
  first!.arrived();
  expect(offered()).toEqual([]);
  profiles.revoke(profile(1, []).profile, HONEST.shapes[0]!);
  // Nothing is left to be offered.
  expect(offered()).toEqual([]);
});
