/** The real command as a process: exit codes, what goes to which stream, --json. */
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Envelope, verifyBundle } from "@picket/shared/bundle";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const bin = fileURLToPath(new URL("../bin/picket.mjs", import.meta.url));
const home = mkdtempSync(join(tmpdir(), "picket-cli-test-"));
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** The build, where it is of this very source: it starts in a fraction of the time. */
const stale = (() => {
  const builtMs = statSync(fileURLToPath(new URL("../dist/main.js", import.meta.url)), {
    throwIfNoEntry: false,
  })?.mtimeMs;
  const sources = ["cli", "judge", "shared"].flatMap(folder => {
    const path = fileURLToPath(new URL(`../../${folder}/src`, import.meta.url));
    return readdirSync(path, { recursive: true, encoding: "utf8" }).map(name => join(path, name));
  });
  return (
    builtMs === undefined ||
    sources.some(file => !file.endsWith(".test.ts") && statSync(file).mtimeMs > builtMs)
  );
})();

type Ran = { code: number | null; stdout: string; stderr: string };

function picket(
  args: string[],
  { input = "", env = {} }: { input?: string | Buffer; env?: object } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: home,
      env: {
        PATH: process.env.PATH,
        HOME: home,
        XDG_CONFIG_HOME: join(home, "config"),
        PICKET_LOCAL_LOGIN: join(home, "login.json"),
        PICKET_SOCKET: join(home, "no-agent.sock"),
        PICKET_CLI_SOURCE: stale ? "1" : "",
        ...env,
      },
    });
    const ran: Ran = { code: null, stdout: "", stderr: "" };
    child.stdout.on("data", chunk => (ran.stdout += chunk));
    child.stderr.on("data", chunk => (ran.stderr += chunk));
    child.stdin.on("error", () => {});
    child.once("error", reject);
    child.once("close", code => resolve({ ...ran, code }));
    child.stdin.end(input);
  });
}

const RULES = `apiVersion: picket/v1
kind: RuleSet
metadata: { name: shop }
spec:
  shapes:
    - { id: ping, action: allow, sql: SELECT 1 }
`;

describe("wrong use ends with 2 and says what would be right", () => {
  for (const [args, said] of [
    [["jugde"], /unknown command 'jugde'[\s\S]*Did you mean judge/],
    [["nodes", "ls", "--colour"], /unknown option '--colour'/],
    [["rules", "sign", "x.yaml"], /required option '--version <n>'/],
    [["rules", "sign", "x.yaml", "--version", "0"], /whole number of at least 1/],
    [["guard", "a b"], /no unit, cgroup or process/],
    [["guard", "x", "--observe", "--off"], /exclude each other/],
    [["judge", "SELECT 1", "--dialect", "oracle"], /"oracle" is not a dialect/],
    [["judge", "SELECT 1", "--session", "SET x = 1"], /sets nothing that changes/],
    [["verdict", "put", "drop", "SELECT 1", "--dialect", "mysql", "--reason", "r"], /"drop" is not one of/],
    [["tokens", "create", "--role", "viewer"], /belong to API tokens/],
    [["login", "ftp://x"], /is not an address/],
  ] as const)
    test(args.join(" "), async () => {
      const { code, stdout, stderr } = await picket([...args], {
        env: { PICKET_URL: "http://127.0.0.1:1", PICKET_TOKEN: "t" },
      });
      expect([code, stdout]).toEqual([2, ""]);
      expect(stderr).toMatch(said);
    });
});

test("help names every command and the exit codes, on standard output", async () => {
  const { code, stdout } = await picket(["--help"]);
  expect(code).toBe(0);
  expect(stdout).toMatchSnapshot();
});

test("with --json an error is one JSON value on standard error and nothing is on standard output", async () => {
  const { code, stdout, stderr } = await picket(["nodes", "ls", "--json"]);
  expect([code, stdout]).toEqual([4, ""]);
  expect(JSON.parse(stderr)).toEqual({
    error: {
      code: "not-logged-in",
      message: "no control plane is known",
      hint: "run `picket login <url>`, or set PICKET_URL and PICKET_TOKEN",
      exitCode: 4,
    },
  });
});

describe("an agent or control plane that is not there ends with 3", () => {
  test("no agent", async () => {
    const { code, stderr } = await picket(["agent", "status"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/no agent answers at .*no-agent.sock: there is no such socket/);
  });
  test("no control plane", async () => {
    const { code, stderr } = await picket(["nodes", "ls"], {
      env: { PICKET_URL: "http://127.0.0.1:1", PICKET_TOKEN: "t" },
    });
    expect(code).toBe(3);
    expect(stderr).toMatch(/cannot be reached: (ECONNREFUSED|bad port)/);
  });
});

describe("doctor without an agent", () => {
  test("says what can be read from outside, and that it did", async () => {
    const { stdout } = await picket(["doctor"]);
    expect(stdout).toContain("Read from outside, since no agent answers");
    expect(stdout).toMatch(/(ok|missing) +btf/);
  });
  test("--json says where its answer is from", async () => {
    const { stdout } = await picket(["doctor", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ from: "host", checks: expect.any(Array) });
  });
});

describe("release keys and signing", () => {
  const key = join(home, "release.pem");
  const rules = join(home, "shop.yaml");
  const object = join(home, "slot.o");
  beforeAll(() => {
    writeFileSync(rules, RULES);
    writeFileSync(object, "an object");
  });

  test("keys new writes a file that nobody else can read, and never over another", async () => {
    const made = await picket(["keys", "new", "--out", key, "--json"]);
    expect(made.code).toBe(0);
    expect(JSON.parse(made.stdout)).toMatchObject({
      keyid: expect.stringMatching(/^[0-9a-f]{16}$/),
      encrypted: false,
    });
    expect(statSync(key).mode & 0o777).toBe(0o600);
    const again = await picket(["keys", "new", "--out", key]);
    expect(again.code).toBe(6);
    expect(again.stdout + made.stdout).not.toContain("PRIVATE KEY");
  });

  test("a signed bundle verifies with the key's public half and holds the text as written", async () => {
    const { keyid, publicKey } = JSON.parse(
      (await picket(["keys", "new", "--out", join(home, "second.pem"), "--json"])).stdout,
    );
    const out = join(home, "shop.bundle.json");
    const args = [
      "--version",
      "3",
      "--floor",
      "2",
      "--key",
      join(home, "second.pem"),
      "--object",
      object,
      "--out",
      out,
    ];
    const signed = await picket(["rules", "sign", rules, ...args, "--json"]);
    expect(signed).toMatchObject({ code: 0, stderr: "" });
    const made = JSON.parse(signed.stdout);
    expect(made).toMatchObject({ ruleSet: "shop", version: 3, floor: 2, signedBy: keyid });
    const envelope = Envelope.parse(JSON.parse(readFileSync(out, "utf8")));
    const verified = verifyBundle(envelope, {
      keys: [{ keyid, publicKey }],
      threshold: 1,
      floorOf: () => 2,
      nowMs: Date.now(),
      abi: JSON.parse(Buffer.from(envelope.payload, "base64").toString()).abi,
      installing: true,
    });
    expect(verified).toMatchObject({
      ok: true,
      value: { digest: made.bundle, bundle: { ruleText: RULES, version: 3, objects: { slot: made.slot } } },
    });
  });

  test("an encrypted key signs only with its passphrase", async () => {
    const file = join(home, "encrypted.pem");
    const env = { PICKET_KEY_PASSPHRASE: "correct horse" };
    await picket(["keys", "new", "--out", file], { env });
    const args = [
      "rules",
      "sign",
      rules,
      "--version",
      "1",
      "--key",
      file,
      "--object",
      object,
      "--out",
      join(home, "e.json"),
    ];
    expect((await picket(args)).code).toBe(4);
    expect((await picket(args, { env: { PICKET_KEY_PASSPHRASE: "wrong" } })).code).toBe(4);
    expect((await picket(args, { env })).code).toBe(0);
  });

  test("a key that others can read is refused", async () => {
    chmodSync(key, 0o644);
    const args = ["rules", "sign", rules, "--version", "1", "--key", key, "--object", object];
    const { code, stderr } = await picket(args);
    expect([code, stderr.includes("can be read by others")]).toEqual([4, true]);
    chmodSync(key, 0o600);
  });

  test("a floor above the version, and rules with errors, are never signed", async () => {
    const args = ["--key", key, "--object", object, "--out", join(home, "never.json")];
    expect((await picket(["rules", "sign", rules, "--version", "1", "--floor", "2", ...args])).code).toBe(2);
    const broken = join(home, "broken.yaml");
    writeFileSync(broken, RULES.replace("allow", "alow"));
    const { code, stderr } = await picket(["rules", "sign", broken, "--version", "1", ...args]);
    expect(code).toBe(1);
    expect(stderr).toContain("broken.yaml:6:27: spec.shapes[0].action (ping)");
    expect(() => statSync(join(home, "never.json"))).toThrow();
  });
});

describe("rules explain and rules schema", () => {
  test("shows each stage, marks what a rule met, and prints the same as JSON", async () => {
    const sql = "SELECT * FROM users WHERE id = 3 UNION SELECT 1, pw FROM staff";
    const shown = await picket(["rules", "explain", "--dialect", "pg", sql]);
    expect(shown).toMatchObject({ code: 0, stderr: "" });
    for (const part of [
      "1. Lexed",
      "2. Shape",
      "3. Rules",
      "4. Drift and parser",
      "5. Verdict",
      "union-literals",
      "»",
    ])
      expect(shown.stdout).toContain(part);
    const coloured = await picket(["rules", "explain", "--dialect", "pg", sql], {
      env: { FORCE_COLOR: "1" },
    });
    expect(coloured.stdout).toContain("\u001b[");
    expect(coloured.stdout).not.toContain("»");
    const json = await picket(["rules", "explain", "--json", sql]);
    expect(JSON.parse(json.stdout)).toMatchObject([
      { dialect: "mysql", judgement: { verdict: "attack" } },
      { dialect: "pg", judgement: { verdict: "attack" } },
    ]);
    expect(json.stdout).not.toContain('"fingerprint"');
  });
  test("refuses a dialect, a session and a label that it does not understand", async () => {
    for (const wrong of [
      ["--dialect", "oracle"],
      ["--session", "nonsense"],
      ["--label", "x"],
    ])
      expect(await picket(["rules", "explain", ...wrong, "SELECT 1"])).toMatchObject({ code: 2, stdout: "" });
  });
  test("the schema is JSON Schema", async () => {
    expect(JSON.parse((await picket(["rules", "schema"])).stdout)).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: "Picket rule set",
    });
  });
});

describe("rules backtest against a file", () => {
  const file = join(home, "statements.jsonl");
  const line = (sql: string, count?: number, dialect = "pg") =>
    JSON.stringify({ id: 1, dialect, sql, count });
  const rules = join(home, "backtest.yaml");
  test("says what would have been blocked, shape by shape, and what changes beside another rule set", async () => {
    writeFileSync(rules, RULES);
    writeFileSync(
      file,
      [
        line("SELECT a FROM t WHERE b = 1", 40),
        line("SELECT a FROM t WHERE b = 2", 2),
        line("SELECT a FROM t WHERE b = 1 UNION SELECT 1, 2 FROM c"),
      ].join("\n"),
    );
    const shown = await picket(["rules", "backtest", rules, "--against", file]);
    expect(shown).toMatchObject({ code: 0, stderr: "" });
    expect(shown.stdout).toContain("would have blocked 1 of 43 statements (1 of 2 shapes), 0 shapes are new");
    expect(shown.stdout).toContain("SELECT a FROM t WHERE b = ? UNION SELECT");
    const beside = await picket([
      "rules",
      "backtest",
      rules,
      "--against",
      file,
      "--baseline",
      "core",
      "--json",
    ]);
    expect(JSON.parse(beside.stdout)).toMatchObject({
      statements: 43,
      outcomes: { block: { shapes: 1, statements: 1 } },
      changes: { newlyBlocked: { shapes: 0 } },
      malformed: 0,
    });
  });
  test("counts lines that it cannot read, and says so with exit code 1", async () => {
    writeFileSync(file, `${line("SELECT 1", 5)}\nnonsense\n${line("SELECT 1", 0)}\n`);
    const ran = await picket(["rules", "backtest", rules, "--against", file]);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain("0 of 5 statements");
    expect(ran.stderr).toMatch(/statements.jsonl:2: not JSON/);
    expect(ran.stderr).toMatch(/2 lines .* could not be read and are in no figure/);
  });
  test("a file that is not there is named", async () => {
    const ran = await picket(["rules", "backtest", rules, "--against", join(home, "none.jsonl")]);
    expect(ran).toMatchObject({ code: 5, stdout: "" });
    expect(ran.stderr).toContain("none.jsonl");
  });
});

describe("rules check", () => {
  test("a right file, a wrong one and a missing one", async () => {
    const right = join(home, "right.yaml");
    writeFileSync(right, RULES);
    expect(await picket(["rules", "check", right])).toMatchObject({ code: 0, stderr: "" });
    const wrong = join(home, "wrong.yaml");
    writeFileSync(wrong, `${RULES}    - { id: ping, action: block, sql: SELECT 2 }\n`);
    const checked = await picket(["rules", "check", right, wrong, "--json"]);
    expect(checked.code).toBe(1);
    expect(JSON.parse(checked.stdout)).toMatchObject({
      files: [
        { file: right, ok: true },
        { file: wrong, ok: false, errors: [{ code: "duplicate-id", line: 7, column: 13, rule: "ping" }] },
      ],
      conflicts: [],
    });
    expect((await picket(["rules", "check", join(home, "none.yaml")])).code).toBe(5);
  });

  test("two that disagree: a conflict until one of them has the higher precedence", async () => {
    const [ours, theirs] = [join(home, "ours.yaml"), join(home, "theirs.yaml")];
    const text = (name: string, action: string, precedence: number) =>
      `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: ${name}, precedence: ${precedence} }\n` +
      `spec:\n  core: false\n  shapes: [{ id: ${name}-ping, action: ${action}, sql: SELECT 1 }]\n`;
    writeFileSync(ours, text("ours", "allow", 0));
    writeFileSync(theirs, text("theirs", "block", 0));
    const open = await picket(["rules", "check", ours, theirs]);
    expect(open.code).toBe(1);
    expect(open.stdout).toMatch(/conflict {2}ours and theirs: .*\n {6}the stricter stands: block/);
    expect(open.stderr).toContain("metadata.precedence");
    writeFileSync(ours, text("ours", "allow", 1));
    const decided = await picket(["rules", "check", ours, theirs]);
    expect(decided).toMatchObject({ code: 0, stderr: "" });
    expect(decided.stdout).toMatch(/note {2}ours and theirs: .*\n {6}ours allows it/);
  });
});

describe("judge", () => {
  const line = (value: unknown) => `${JSON.stringify(value)}\n`;

  test("one statement: benign ends with 0, an attack with 1, each explained", async () => {
    const benign = await picket(["judge", "SELECT name FROM users WHERE id = 7"]);
    expect(benign).toMatchObject({ code: 0, stderr: "" });
    expect(benign.stdout).toMatch(/benign as MySQL[\s\S]*benign as PostgreSQL/);
    const attack = await picket([
      "judge",
      "SELECT name FROM users WHERE id = 7 OR 1=1 -- x",
      "--dialect",
      "mysql",
      "--json",
    ]);
    expect(attack.code).toBe(1);
    expect(JSON.parse(attack.stdout)).toMatchObject({ verdict: "attack", dialect: "mysql" });
    expect(attack.stdout).not.toContain("1=1");
  });

  test("a stream: in order, exact bytes, sessions, and a fingerprint of the shape", async () => {
    const { code, stdout, stderr } = await picket(["judge"], {
      input:
        line({
          id: "a",
          dialect: "pg",
          sql: "SELECT * FROM users WHERE id = 1 UNION SELECT NULL, passwd FROM pg_shadow",
        }) +
        line({ id: 2, dialect: "mysql", sql_hex: Buffer.from("SELECT 'x'").toString("hex") }) +
        line({ id: 3, dialect: "mysql", sql: "SELECT 'y'", session: null }),
    });
    const [a, b, c] = stdout
      .trim()
      .split("\n")
      .map(text => JSON.parse(text));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(a).toMatchObject({ id: "a", verdict: "attack", stage: "token-rules" });
    expect(Object.keys(a)).toEqual(["id", "verdict", "rules", "fingerprint", "stage"]);
    expect(b).toMatchObject({
      id: 2,
      verdict: "benign",
      rules: [],
      fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(c.fingerprint).toBe(b.fingerprint);
  });

  test("a line that cannot be read gives an error in its place with its number, the rest is judged, the end is 1", async () => {
    const { code, stdout, stderr } = await picket(["judge"], {
      input:
        `{"id": 1\n${line({ id: 2, dialect: "oracle", sql: "SELECT 1" })}${line({ id: 3, dialect: "pg" })}\n` +
        `${line({ id: 5, dialect: "pg", sql_hex: "abc" })}${line({ id: 6, dialect: "pg", sql: "SELECT 1" })}` +
        line({ id: 7, dialect: "pg", sql: "SELECT 1", session: "SET x=1" }),
    });
    expect(code).toBe(1);
    expect(stderr).toContain("6 lines could not be read");
    const answers = stdout
      .trim()
      .split("\n")
      .map(text => JSON.parse(text));
    expect(answers.map(({ id, line, error }) => [id, line, typeof error])).toEqual([
      [undefined, 1, "string"],
      [2, 2, "string"],
      [3, 3, "string"],
      [undefined, 4, "string"],
      [5, 5, "string"],
      [6, undefined, "undefined"],
      [7, 7, "string"],
    ]);
  });

  test("memory does not grow with the input", async () => {
    const one = line({ id: 1, dialect: "pg", sql: `SELECT a FROM t WHERE b = '${"x".repeat(400)}'` });
    const { code, stdout } = await picket(["judge"], {
      input: one.repeat(100_000),
      env: { NODE_OPTIONS: "--max-old-space-size=48" },
    });
    expect([code, stdout.split("\n").length - 1]).toEqual([0, 100_000]);
  });

  test("a reader that leaves early ends it without an error", async () => {
    const child = spawn(process.execPath, [bin, "judge"], {
      env: { PATH: process.env.PATH, PICKET_CLI_SOURCE: stale ? "1" : "" },
    });
    let stderr = "";
    child.stderr.on("data", chunk => {
      stderr += chunk;
    });
    child.stdin.on("error", () => {});
    child.stdout.once("data", () => child.stdout.destroy());
    child.stdin.write(line({ id: 1, dialect: "pg", sql: "SELECT 1" }));
    const writing = setInterval(() => child.stdin.write(line({ id: 2, dialect: "pg", sql: "SELECT 1" })), 20);
    const code = await new Promise(resolve => child.once("exit", resolve));
    clearInterval(writing);
    expect([code, stderr]).toEqual([0, ""]);
  });

  test("rules of one's own decide, by shape", async () => {
    const file = join(home, "own.yaml");
    writeFileSync(file, RULES.replace("allow", "block"));
    const { stdout } = await picket(["judge", "--rules", file], {
      input: line({ id: 1, dialect: "pg", sql: "select  42" }),
    });
    expect(JSON.parse(stdout)).toMatchObject({ verdict: "attack", rules: ["ping"], stage: "shape" });
  });

  test("the shape rule that allows wins over token rules", async () => {
    const file = join(home, "allow.yaml");
    const sql = "SELECT a FROM t WHERE x = 1 OR 1=1 -- y";
    writeFileSync(file, RULES.replace("sql: SELECT 1", `sql: "${sql}"`));
    const { stdout } = await picket(["judge", "--rules", file], {
      input: line({ id: 1, dialect: "pg", sql }),
    });
    expect(JSON.parse(stdout)).toMatchObject({ verdict: "benign", rules: ["ping"], stage: "shape" });
  });
});

describe("judge --learn", () => {
  const line = (value: object) => `${JSON.stringify(value)}\n`;
  const honest = (i: number) => `SELECT name FROM items WHERE id = ${i} AND shop = ${i}`;

  test("what reads like honest SQL is an attack when it is spliced into what was learned", async () => {
    const file = join(home, "honest.jsonl");
    writeFileSync(
      file,
      Array.from({ length: 10 }, (_, id) => line({ id, dialect: "mysql", sql: honest(id) })).join(""),
    );
    const input =
      line({ id: "same", dialect: "mysql", sql: honest(77) }) +
      line({ id: "spliced", dialect: "mysql", sql: "SELECT name FROM items WHERE id = id AND shop = 3" });
    const verdicts = async (args: string[]) =>
      (await picket(["judge", ...args], { input })).stdout
        .trim()
        .split("\n")
        .map(row => JSON.parse(row))
        .map(({ verdict, stage }) => `${verdict} ${stage}`);
    expect(await verdicts([])).toEqual(["benign token-rules", "benign token-rules"]);
    expect(await verdicts(["--learn", file])).toEqual(["benign token-rules", "attack drift"]);
  });

  test("a line of the learned file that cannot be read ends it before anything is judged", async () => {
    const file = join(home, "broken.jsonl");
    writeFileSync(file, `${line({ id: 1, dialect: "mysql", sql: "SELECT 1" })}nonsense\n`);
    const { code, stdout, stderr } = await picket(["judge", "--learn", file], {
      input: line({ id: 1, dialect: "pg", sql: "SELECT 1" }),
    });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/line 2: not JSON/);
  });
});

describe("the control plane's answers", () => {
  let url = "";
  let handle: (request: IncomingMessage, response: ServerResponse) => void;
  const server = createServer((request, response) => handle(request, response));
  const json = (status: number, body: unknown) => (_request: IncomingMessage, response: ServerResponse) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  beforeAll(async () => {
    await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());
  const env = () => ({ PICKET_URL: url, PICKET_TOKEN: "pkt_test" });

  for (const [status, code, says] of [
    [401, 4, "picket login"],
    [403, 4, "role"],
    [404, 5, "there is no"],
    [409, 6, "there is no"],
    [422, 1, "there is no"],
    [503, 3, "try again soon"],
  ] as const)
    test(`a refusal with ${status} ends with ${code} and the control plane's own words`, async () => {
      handle = json(status, {
        title: "Refused",
        status,
        code: "some-code",
        detail: "there is no such thing",
      });
      const ran = await picket(["nodes", "ls", "--json"], { env: env() });
      expect(ran.code).toBe(code);
      const { error } = JSON.parse(ran.stderr);
      expect(error).toMatchObject({ code: "some-code", message: "Refused: there is no such thing" });
      expect(`${error.message} ${error.hint}`).toContain(says);
    });

  test("an answer of another form is named as that of another version", async () => {
    handle = json(200, { items: [{ id: 7 }], nextCursor: null });
    const { code, stderr } = await picket(["nodes", "ls"], { env: env() });
    expect([code, /does not know \(items\.0/.test(stderr)]).toEqual([1, true]);
    handle = (_request, response) => response.end("<html>");
    expect((await picket(["nodes", "ls"], { env: env() })).stderr).toContain("not JSON");
  });

  test("all pages of a list are read", async () => {
    const asked: (string | null)[] = [];
    handle = (request, response) => {
      const cursor = new URL(request.url!, url).searchParams.get("cursor");
      asked.push(cursor);
      const id = `0000000${cursor ?? 0}-0000-4000-8000-000000000000`;
      const item = { id, url: "https://example.com/h", priorityMin: "P3", disabledAt: null };
      json(200, { items: [item], nextCursor: cursor === "2" ? null : String(Number(cursor ?? 0) + 1) })(
        request,
        response,
      );
    };
    const { stdout } = await picket(["webhooks", "ls", "--json"], { env: env() });
    expect(JSON.parse(stdout)).toHaveLength(3);
    expect(asked).toEqual([null, "1", "2"]);
  });

  test("login keeps the token in a file that nobody else can read, and whoami uses it", async () => {
    const seen: string[] = [];
    handle = (request, response) => {
      seen.push(request.headers.authorization ?? "");
      json(200, { name: "ana", role: "admin", scope: {} })(request, response);
    };
    const made = await picket(["login", url], { input: "pkt_from_stdin\n" });
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(made.stdout).toContain("as ana (admin)");
    expect(made.stdout).not.toContain("pkt_from_stdin");
    expect(statSync(join(home, "config", "picket", "config.json")).mode & 0o777).toBe(0o600);
    expect((await picket(["whoami", "--json"])).code).toBe(0);
    expect(seen).toEqual(["Bearer pkt_from_stdin", "Bearer pkt_from_stdin"]);
    chmodSync(join(home, "config", "picket", "config.json"), 0o644);
    expect((await picket(["whoami"])).code).toBe(4);
    await picket(["logout"]);
    expect((await picket(["whoami"])).code).toBe(4);
  });

  test("rules check --fleet says where a file disagrees with what the fleet runs", async () => {
    const set = (name: string, action: string) =>
      `apiVersion: picket/v1\nkind: RuleSet\nmetadata: { name: ${name} }\n` +
      `spec:\n  core: false\n  shapes: [{ id: ${name}-ping, action: ${action}, sql: SELECT 1 }]\n`;
    const asked: string[] = [];
    const pushedAt = "2026-01-01T00:00:00.000Z";
    handle = (request, response) => {
      asked.push(request.url!);
      if (request.url!.startsWith("/v1/rule-sets?") || request.url === "/v1/rule-sets")
        return json(200, {
          items: ["ours", "theirs"].map(name => ({ name, latest: 3, stable: 2, versions: 3, pushedAt })),
          nextCursor: null,
        })(request, response);
      return json(200, {
        ruleSet: "theirs",
        version: 2,
        bundle: "0".repeat(64),
        signedBy: ["k"],
        floor: 0,
        expiresAt: pushedAt,
        pushedAt,
        pushedBy: "ana",
        ruleText: set("theirs", "block"),
        envelope: {
          payloadType: "application/vnd.picket.bundle.v1+json",
          payload: "",
          signatures: [{ keyid: "k", sig: "" }],
        },
      })(request, response);
    };
    const file = join(home, "ours-alone.yaml");
    writeFileSync(file, set("ours", "allow"));
    expect((await picket(["rules", "check", file])).code).toBe(0);
    expect(asked).toEqual([]);
    const checked = await picket(["rules", "check", file, "--fleet"], { env: env() });
    expect(checked.stdout + checked.stderr).toMatch(/conflict {2}ours and theirs/);
    expect(checked.code).toBe(1);
    expect(asked.at(-1)).toBe("/v1/rule-sets/theirs/versions/2");
  });

  test("root needs no login for the control plane that `npm start` runs here, and another's file is not believed", async () => {
    handle = json(200, { name: "bootstrap", role: "admin", scope: {} });
    const file = join(home, "login.json");
    writeFileSync(file, JSON.stringify({ url, token: "pkt_local" }), { mode: 0o600 });
    expect(await picket(["whoami"])).toMatchObject({ code: process.getuid?.() === 0 ? 0 : 4 });
    expect((await picket(["whoami"], { env: { PICKET_URL: url } })).code).toBe(4);
    chmodSync(file, 0o644);
    expect((await picket(["whoami"])).code).toBe(4);
    rmSync(file);
  });

  test("a token that was kept for one server is not sent to another", async () => {
    let asked = 0;
    handle = (request, response) => {
      asked += 1;
      json(200, { name: "ana", role: "admin", scope: {} })(request, response);
    };
    expect((await picket(["login", url, "--token", "-"], { input: "pkt_ana" })).code).toBe(0);
    expect((await picket(["whoami", "--url", `${url}/`])).code).toBe(0);
    const elsewhere = url.replace("127.0.0.1", "localhost");
    const before = asked;
    expect(await picket(["whoami", "--url", elsewhere])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("no token is known"),
    });
    expect(asked).toBe(before);
    await picket(["logout"]);
  });

  test("a token that the control plane refuses is not kept", async () => {
    handle = json(401, { title: "Unauthenticated", status: 401, code: "unauthenticated" });
    expect((await picket(["login", url, "--token", "-"], { input: "pkt_wrong" })).code).toBe(4);
    expect((await picket(["whoami"])).stderr).toContain("no control plane is known");
  });
});
