/** What a node believes of other nodes' verdicts, over real rules and a state directory that may be broken. */
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Escalation } from "@picket/judge/ast/escalation";
import { lex } from "@picket/native/lexer";
import type { Delegation } from "@picket/shared/bundle-format";
import { publicKeyOf } from "@picket/shared/dsse";
import type { ShapeDigest, SharedVerdictId } from "@picket/shared/ids";
import type { Denial } from "@picket/shared/immunity";
import { signSharedVerdict } from "@picket/shared/shared-verdict";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { CORE_ONLY, createCompiler } from "../rules/compile.ts";
import type { Sent } from "../rules/judging.ts";
import type { Lexing } from "../rules/lexing.ts";
import type { Loaded, Versions } from "../rules/versions.ts";
import { SharedVerdicts } from "./shared-verdicts.ts";

const NOW = Date.parse("2026-11-01T12:00:00Z");
const at = (minutes: number) => new Date(NOW + minutes * 60_000).toISOString();
const online = generateKeyPairSync("ed25519").privateKey;
const escalation = new Escalation();
const compiled = createCompiler({ key: 3n, start: 5n }, escalation)(CORE_ONLY, "core");
if (!compiled.ok) throw new Error(compiled.error);
const rules = compiled.value;
const delegation = (expiresAt: string): Delegation => ({
  ...publicKeyOf(online),
  expiresAt,
  caps: { inForce: 1_000, inForcePerNode: 1_000, perHour: 1_000, ttl: "1h" },
});

let directory: string;
let nowMs: number;
/** Of each version that runs here, in their order. */
let delegations: Delegation[];
let shared: Set<bigint>;
let ordinal: number;
let allowed: boolean;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "picket-shared-verdicts-"));
  nowMs = NOW;
  delegations = [delegation(at(60))];
  shared = new Set();
  ordinal = 1;
  allowed = false;
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
afterAll(() => escalation.close());

function start(): SharedVerdicts {
  const versions: Pick<Versions, "live" | "allows" | "foundHonest" | "judge" | "share" | "unshare"> = {
    live: () => [{ ordinal, parts: delegations.map(each => ({ delegation: each })) } as unknown as Loaded],
    allows: () => allowed,
    foundHonest: () => false,
    judge: (_: Loaded, sent: Sent) => rules.judge(sent),
    share: (_: Loaded, fingerprint: bigint) => void shared.add(fingerprint),
    unshare: (fingerprint: bigint) => void shared.delete(fingerprint),
  };
  const lexing: Pick<Lexing, "fingerprint"> = {
    fingerprint: (sql, dialect, session) =>
      lex(sql, { dialect, session, key: { key: 3n, start: 5n } }).fingerprint,
  };
  return new SharedVerdicts({
    stateDirectory: join(directory, "state"),
    versions: versions as Versions,
    lexing: lexing as Lexing,
    learned: () => false,
    nowMs: () => nowMs,
  });
}

function denial(n: number): Denial {
  const sql = `select name from users where id = 1 union select secret from vault_${n} -- \n`;
  const { shape, shapeSha256 } = lex(sql, { dialect: "mysql", session: 0 });
  return {
    format: 1,
    kind: "deny",
    id: `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` as SharedVerdictId,
    sequence: n,
    issuedAt: at(-1),
    expiresAt: at(30),
    shape: shapeSha256 as ShapeDigest,
    dialect: "mysql",
    text: shape,
    rule: "union-graft",
    source: "00000000-0000-4000-8000-000000000002" as never,
  };
}
const signed = (n: number, change: Partial<Denial> = {}) =>
  signSharedVerdict({ ...denial(n), ...change }, online);

test("what could not be written is judged all the same, and the next ones are, too", async () => {
  const verdicts = start();
  writeFileSync(join(directory, "state"), "in the directory's place");
  await expect(verdicts.receive([signed(1)], 1)).rejects.toThrow();
  expect(shared.size).toBe(1);
  // Ended, they are forgotten on disk, too, which fails; others come.
  nowMs = NOW + 31 * 60_000;
  await expect(verdicts.refresh()).rejects.toThrow();
  expect(shared.size).toBe(0);
  rmSync(join(directory, "state"));
  nowMs = NOW;
  await verdicts.receive([signed(2)], 2);
  expect(shared.size).toBe(1);
  expect(verdicts.counts()).toMatchObject({ sequence: 2, believed: 1 });
  expect(JSON.parse(readFileSync(join(directory, "state", "shared-verdicts.json"), "utf8"))).toMatchObject({
    after: 2,
  });
});

test("of two delegations to one key the one that lasts longer holds, whichever version comes first", async () => {
  for (const order of [
    [at(-1), at(60)],
    [at(60), at(-1)],
  ]) {
    delegations = order.map(delegation);
    const verdicts = start();
    await verdicts.receive([signed(1)], 1);
    expect(verdicts.counts()).toMatchObject({ believed: 1 });
    verdicts.forget();
  }
});

test("where every delegation has expired the feed is not read; renewed, it is read from its beginning", async () => {
  const verdicts = start();
  expect(verdicts.position()).toBe(0);
  await verdicts.receive([signed(1)], 7);
  expect(verdicts.position()).toBe(7);
  nowMs = NOW + 61 * 60_000;
  expect([verdicts.position(), verdicts.delegated]).toEqual([null, false]);
  delegations = [...delegations, delegation(at(120))];
  expect([verdicts.position(), verdicts.delegated]).toEqual([0, true]);
});

test("what is said anew stands until it is judged anew, and goes where it is allowed by then", async () => {
  const verdicts = start();
  await verdicts.receive([signed(1)], 1);
  await verdicts.receive([signed(1, { sequence: 2, expiresAt: at(40) })], 2);
  expect([shared.size, verdicts.counts().believed]).toEqual([1, 1]);
  allowed = true;
  await verdicts.receive([signed(1, { sequence: 3, expiresAt: at(50) })], 3);
  expect([shared.size, verdicts.counts().believed]).toEqual([0, 0]);
});

test("others get their turn while many are judged", async () => {
  const verdicts = start();
  let turns = 0;
  let counting = true;
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  await verdicts.receive(
    Array.from({ length: 400 }, (_, i) => signed(i + 1)),
    400,
  );
  counting = false;
  expect(verdicts.counts()).toMatchObject({ believed: 400 });
  expect(turns).toBeGreaterThan(2);
});
