/** Rule sets from the author's file to a signed version: checked and signed here, stored by the control plane. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { formatRuleErrors } from "@picket/judge/rule-error";
import { ObjectRow, RuleSetSummary, RuleVersionDetails, RuleVersionRow } from "@picket/shared/api";
import { Bundle, bundleDigest, Envelope, releaseKey, signBundle } from "@picket/shared/bundle";
import { countersigned } from "@picket/shared/dsse";
import { Duration, durationMs } from "@picket/shared/vocabulary";
import type { Command } from "commander";
import { PICKET_ABI } from "../abi.ts";
import type { BacktestOptions } from "../backtesting.ts";
import type { CheckOptions } from "../checking.ts";
import { collectLabel, group, leaf, parseVersioned, wholeNumber } from "../command.ts";
import type { Context } from "../context.ts";
import { type DelegateOptions, delegationOf } from "../delegation.ts";
import { CliError, usage } from "../errors.ts";
import type { ExplainOptions } from "../explaining.ts";
import { readBytes, readText, writeJson } from "../files.ts";
import { ago, facts, table } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { readReleaseKey } from "../release-key.ts";

type SignOptions = {
  version: number;
  floor: number;
  expires: string;
  key?: string;
  object?: string;
  kernelMin: string;
  out?: string;
} & DelegateOptions;

export function ruleCommands(program: Command, surroundings: Surroundings): void {
  const rules = group(program, "rules", "check, sign and store rule sets");
  leaf(rules, surroundings, {
    name: "check <file...>",
    description: "compile rule files and run their own tests; a folder means its *.yaml",
    talks: "control-plane",
    build: command =>
      command.option(
        "--fleet",
        "also say where they disagree with what the fleet runs; only this asks the control plane",
      ),
    async run(context, options: CheckOptions, files: string[]) {
      const { check } = await import("../checking.ts");
      await check(context, options, files);
    },
  });
  leaf(rules, surroundings, {
    name: "explain <sql>",
    description: "how a statement is judged, stage by stage; needs no server",
    talks: "nobody",
    build: command =>
      command
        .option("--rules <file>", "rule file; without it the core rules")
        .option("--learn <file>", "JSONL of honest statements to compare with")
        .option("--dialect <mysql|pg>", "how to read the statement; without it both are tried")
        .option("--session <sql>", 'what the session has set, for example "SET NAMES gbk", or unknown')
        .option("--workload <name>", "what is known of its connection, for rules with match")
        .option("--user <name>", "database user")
        .option("--database <name>", "database")
        .option("--label <key=value>", "label of the workload or node; may be given again", collectLabel),
    async run(context, options: ExplainOptions, sql: string) {
      const { explainStatement } = await import("../explaining.ts");
      await explainStatement(context, options, sql);
    },
  });
  leaf(rules, surroundings, {
    name: "backtest <file|name@version>",
    description: "what rules would have done to what the fleet has sent, or to a file of statements",
    talks: "control-plane",
    build: command =>
      command
        .option("--against <file>", "JSONL of statements, as `picket judge` reads them; needs no server")
        .option("--baseline <file>", "with --against: rule file to compare with, or core"),
    async run(context, options: BacktestOptions, file: string) {
      const { backtest } = await import("../backtesting.ts");
      await backtest(context, options, file);
    },
  });
  leaf(rules, surroundings, {
    name: "schema",
    description: "the JSON Schema of rule files, for editors",
    talks: "nobody",
    async run({ output }) {
      const { ruleSetJsonSchema } = await import("@picket/judge/json-schema");
      output.line(JSON.stringify(ruleSetJsonSchema(), null, 2));
    },
  });
  leaf(rules, surroundings, {
    name: "sign <file>",
    description: "make a signed bundle of a rule file",
    talks: "nobody",
    build: command =>
      command
        .requiredOption(
          "--version <n>",
          "version of the rule set: one more than the last",
          wholeNumber("--version", 1),
        )
        .option("--floor <n>", "nodes refuse older versions from then on", wholeNumber("--floor", 0), 0)
        .option("--expires <duration>", "later than that nodes do not install it any more", "90d")
        .option(
          "--key <file>",
          "release key (default: PICKET_RELEASE_KEY, or release.pem beside the configuration)",
        )
        .option("--object <file>", "slot program (default: the one built in packages/bpf)")
        .option("--kernel-min <major.minor>", "oldest kernel", "6.1")
        .option("--delegate <file>", "public key that may share verdicts with nodes that run this version")
        .option("--delegate-expires <duration>", "until when", "90d")
        .option("--share-max <n>", "shared verdicts in force at once", wholeNumber("--share-max", 1), 200)
        .option("--share-node-max <n>", "of one node", wholeNumber("--share-node-max", 1), 20)
        .option("--share-hour-max <n>", "issued in an hour", wholeNumber("--share-hour-max", 1), 60)
        .option("--share-ttl <duration>", "how long each holds", "24h")
        .option("--out <file>", "where to (default: <name>-<version>.bundle.json)"),
    run: sign,
  });
  leaf(rules, surroundings, {
    name: "countersign <bundle>",
    description: "add your signature to a bundle that another has signed",
    talks: "nobody",
    build: command => command.option("--key <file>", "release key"),
    run: countersign,
  });
  leaf(rules, surroundings, {
    name: "push <bundle>",
    description: "upload a signed bundle and its slot program",
    talks: "control-plane",
    build: command =>
      command.option("--object <file>", "slot program (default: the one built in packages/bpf)"),
    run: push,
  });
  leaf(rules, surroundings, {
    name: "ls [name]",
    description: "rule sets, or the versions of one",
    talks: "control-plane",
    run: list,
  });
  leaf(rules, surroundings, {
    name: "show <name@version>",
    description: "one version with its text; `core` shows the rules that ship with Picket",
    talks: "control-plane",
    build: command => command.option("--text", "only the rule text, as its author wrote it"),
    run: show,
  });
}

/** The slot program of this checkout. */
function readObject(file: string | undefined): Buffer {
  if (file !== undefined) return readBytes(file);
  try {
    return readFileSync(fileURLToPath(new URL("../../../bpf/dist/slot.bpf.o", import.meta.url)));
  } catch {
    throw new CliError(
      "not-found",
      "no-object",
      "the slot program is not built",
      "run `npm run build`, or name it with --object",
    );
  }
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function sign({ env, output }: Context, options: SignOptions, file: string): Promise<void> {
  // Most commands need neither the lexer nor YAML.
  const { compileRuleSet } = await import("@picket/judge/compile");
  const { version, floor, expires, kernelMin } = options;
  if (floor > version)
    throw usage(`the floor ${floor} is above the version ${version}`, "nodes would refuse it");
  if (!Duration.safeParse(expires).success) throw usage(`"${expires}" is not a duration`, "write 30d or 90d");
  const ruleText = readText(file);
  const compiled = compileRuleSet(ruleText);
  if (!compiled.ok)
    throw new CliError(
      "failed",
      "rules-invalid",
      `${file} does not compile, so it is not signed`,
      null,
      output.json ? compiled.error : formatRuleErrors(file, compiled.error),
    );
  const key = readReleaseKey(env, options.key);
  const nowMs = Date.now();
  const bundle = Bundle.safeParse({
    format: 1,
    ruleSet: compiled.value.name,
    version,
    ruleText,
    objects: { slot: sha256(readObject(options.object)) },
    abi: PICKET_ABI,
    kernelMin,
    floor,
    createdAt: new Date(nowMs).toISOString(),
    expiresAt: new Date(nowMs + durationMs(expires)).toISOString(),
    delegation: delegationOf(options, nowMs),
  });
  if (!bundle.success) {
    const issue = bundle.error.issues[0];
    throw usage(`${issue?.path.join(".")}: ${issue?.message}`);
  }
  const payload = Buffer.from(JSON.stringify(bundle.data));
  const out = options.out ?? `${bundle.data.ruleSet}-${version}.bundle.json`;
  writeJson(out, signBundle(payload, [key]));
  const made = {
    file: out,
    ruleSet: bundle.data.ruleSet,
    version,
    bundle: bundleDigest(payload),
    signedBy: releaseKey(key).keyid,
    floor,
    expiresAt: bundle.data.expiresAt,
    delegatesTo: bundle.data.delegation?.keyid ?? null,
    slot: bundle.data.objects.slot,
  };
  output.result(made, () =>
    [
      facts(output, [
        ["Bundle", out],
        ["Version", `${made.ruleSet}@${version}`],
        ["Digest", made.bundle],
        ["Signed by", made.signedBy],
        ["Slot program", made.slot],
        ["Expires", made.expiresAt],
        ...(made.delegatesTo === null ? [] : ([["Delegates to", made.delegatesTo]] as [string, string][])),
      ]),
      "",
      `Next: picket rules push ${out}`,
    ].join("\n"),
  );
}

function countersign({ env, output }: Context, options: { key?: string }, file: string): void {
  const { envelope, bundle } = readEnvelope(file);
  const signed = countersigned(envelope, readReleaseKey(env, options.key));
  writeJson(file, signed);
  const signedBy = signed.signatures.map(({ keyid }) => keyid);
  const digest = bundleDigest(Buffer.from(envelope.payload, "base64"));
  output.result({ file, bundle: digest, signedBy }, () =>
    [
      `${bundle.ruleSet}@${bundle.version} (${digest}) is signed by ${signedBy.join(", ")}.`,
      `Next: picket rules push ${file}`,
    ].join("\n"),
  );
}

async function push({ client, output }: Context, options: { object?: string }, file: string): Promise<void> {
  const { envelope, bundle } = readEnvelope(file);
  const object = readObject(options.object);
  const digest = sha256(object);
  if (digest !== bundle.objects.slot)
    throw new CliError(
      "conflict",
      "other-object",
      `the bundle was signed for the slot program ${bundle.objects.slot.slice(0, 16)}…, not for ${digest.slice(0, 16)}…`,
      "name the one that it was signed for with --object, or sign again",
    );
  await client().request({ method: "PUT", path: `/v1/objects/${digest}`, bytes: object, answer: ObjectRow });
  const row = await client().request({
    method: "POST",
    path: `/v1/rule-sets/${bundle.ruleSet}/versions`,
    body: envelope,
    answer: RuleVersionRow,
  });
  output.result(row, () =>
    [
      `Stored ${row.ruleSet}@${row.version} (${row.bundle.slice(0, 16)}…), signed by ${row.signedBy.join(", ")}.`,
      `Next: picket rollout start ${row.ruleSet}@${row.version}`,
    ].join("\n"),
  );
}

function readEnvelope(file: string): { envelope: Envelope; bundle: Bundle } {
  const wrong = (detail: string) =>
    new CliError(
      "failed",
      "bad-bundle",
      `${basename(file)} is no signed bundle: ${detail}`,
      "`picket rules sign` makes one",
    );
  let value: unknown;
  try {
    value = JSON.parse(readText(file));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw wrong("it is not JSON");
  }
  const envelope = Envelope.safeParse(value);
  if (!envelope.success) throw wrong(envelope.error.issues[0]?.message ?? "not an envelope");
  try {
    const payload = Buffer.from(envelope.data.payload, "base64").toString("utf8");
    return { envelope: envelope.data, bundle: Bundle.parse(JSON.parse(payload)) };
  } catch {
    throw wrong("its payload is no bundle");
  }
}

async function list({ client, output }: Context, _options: object, name?: string): Promise<void> {
  if (name === undefined) {
    const sets = await client().list({ path: "/v1/rule-sets", item: RuleSetSummary });
    output.result(sets, () =>
      sets.length === 0
        ? "No rule set yet: `picket rules sign`, then `picket rules push`."
        : table(output, sets, [
            { title: "NAME", value: row => row.name },
            { title: "LATEST", value: row => String(row.latest), align: "right" },
            { title: "STABLE", value: row => String(row.stable ?? "none"), align: "right" },
            { title: "VERSIONS", value: row => String(row.versions), align: "right" },
            { title: "PUSHED", value: row => ago(row.pushedAt) },
          ]),
    );
    return;
  }
  const { name: ruleSet } = parseVersioned(name);
  const versions = await client().list({ path: `/v1/rule-sets/${ruleSet}/versions`, item: RuleVersionRow });
  output.result(versions, () =>
    table(output, versions, [
      { title: "VERSION", value: row => `${row.ruleSet}@${row.version}` },
      { title: "BUNDLE", value: row => row.bundle.slice(0, 16) },
      { title: "SIGNED BY", value: row => row.signedBy.join(", ") },
      { title: "FLOOR", value: row => String(row.floor), align: "right" },
      {
        title: "EXPIRES",
        value: row => ago(row.expiresAt),
        style: row => (Date.parse(row.expiresAt) < Date.now() ? "red" : null),
      },
      { title: "PUSHED", value: row => ago(row.pushedAt) },
      { title: "BY", value: row => row.pushedBy, flexible: true },
    ]),
  );
}

async function show(context: Context, { text }: { text?: boolean }, wanted: string): Promise<void> {
  const { output } = context;
  if (wanted === "core") {
    const { coreRules } = await import("@picket/judge/core");
    const { rules } = coreRules().ruleSet.spec;
    return output.result(rules, () =>
      table(output, rules, [
        { title: "RULE", value: row => row.id },
        { title: "SEVERITY", value: row => row.severity },
        {
          title: "ACTION",
          value: row => row.action,
          style: row => (row.action === "block" ? "red" : "yellow"),
        },
        { title: "TITLE", value: row => row.title, flexible: true },
      ]),
    );
  }
  const { name, version } = parseVersioned(wanted);
  const at = version ?? (await latest(context, name));
  const row = await context
    .client()
    .request({ path: `/v1/rule-sets/${name}/versions/${at}`, answer: RuleVersionDetails });
  if (text && !output.json) return output.line(row.ruleText.replace(/\n$/, ""));
  output.result(row, () =>
    [
      facts(output, [
        ["Version", `${row.ruleSet}@${row.version}`],
        ["Digest", row.bundle],
        ["Signed by", row.signedBy.join(", ")],
        ["Floor", String(row.floor)],
        ["Expires", row.expiresAt],
        ["Pushed", `${ago(row.pushedAt)} by ${row.pushedBy}`],
      ]),
      "",
      row.ruleText.replace(/\n$/, ""),
    ].join("\n"),
  );
}

async function latest({ client }: Context, name: string): Promise<number> {
  const sets = await client().list({ path: "/v1/rule-sets", item: RuleSetSummary });
  const found = sets.find(set => set.name === name);
  if (!found) throw new CliError("not-found", "not-found", `there is no rule set "${name}"`);
  return found.latest;
}
