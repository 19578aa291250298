/**
 * Shows, on the slot itself and before anybody is judged by it, that the version does what it says: the kernel's
 * fingerprint is the agent's, what is blocked is replaced and told of, what is allowed passes unchanged. Returns what
 * went wrong, in words for the report.
 */
import type { Dialect } from "@picket/shared/vocabulary";
import type { Bench, Trial } from "../capture/bench.ts";
import type { Lexing } from "./lexing.ts";
import type { Loaded } from "./versions.ts";

/** Of each dialect and kind; a rule set may name ten thousand. */
const EXAMPLES_MAX = 8;
const DIALECTS: readonly Dialect[] = ["mysql", "pg"];

export function selfTest(bench: Bench, lexing: Lexing, overridden: () => ReadonlySet<bigint>) {
  return async (loaded: Loaded): Promise<string | null> => {
    for (const dialect of DIALECTS) {
      const failure = await bench.with(loaded.slot, trial =>
        tryDialect(trial, loaded, dialect, lexing, overridden()),
      );
      if (failure) return `${dialect}: ${failure}`;
    }
    return null;
  };
}

async function tryDialect(
  trial: Trial,
  loaded: Loaded,
  dialect: Dialect,
  lexing: Lexing,
  overridden: ReadonlySet<bigint>,
): Promise<string | null> {
  const unknown = `SELECT picket_self_test_${loaded.ordinal} FROM nowhere WHERE id = 1`;
  const fingerprint = lexing.fingerprint(Buffer.from(unknown), dialect, 0);
  const first = await trial.send(frame(dialect, unknown));
  if (!first.arrived.equals(frame(dialect, unknown))) return "an unknown statement did not pass unchanged";
  if (!first.told) return "the kernel told of no event for an unknown statement";
  if (first.told.text.toString() !== unknown) return "the event's text is not the statement's";
  if (first.told.fingerprint !== fingerprint) return "the kernel's fingerprint is not the agent's";
  if (first.told.version !== loaded.ordinal) return "the event is of another version";

  // Whatever the rule set holds: a verdict that is written now blocks the next use.
  loaded.slot.setVerdict(fingerprint, { verdict: "attack", action: "block", rule: 0, source: "judged" });
  const second = await trial.send(frame(dialect, unknown));
  loaded.slot.deleteVerdict(fingerprint);
  const failure = wasReplaced(second, loaded.ruleIds[0]!);
  if (failure) return `a statement with a fresh verdict: ${failure}`;

  let blocked = 0;
  let allowed = 0;
  for (const { rules } of loaded.parts) {
    for (const { rule, sql, dialect: of } of rules.shapes) {
      if (of !== dialect || sql.length > 4_096) continue;
      const known = lexing.fingerprint(Buffer.from(sql), dialect, 0);
      const verdict = loaded.bundled.get(known);
      if (!verdict || overridden.has(known)) continue;
      const blocks = verdict.action === "block" && verdict.verdict !== "benign";
      if (blocks ? ++blocked > EXAMPLES_MAX : ++allowed > EXAMPLES_MAX) continue;
      if (blocks) {
        const wrong = wasReplaced(await trial.send(frame(dialect, sql)), loaded.ruleIds[verdict.rule ?? 0]!);
        if (wrong) return `the example of ${rule}: ${wrong}`;
      } else if (verdict.verdict !== "benign") {
        const { arrived } = await trial.send(frame(dialect, sql));
        if (!arrived.equals(frame(dialect, sql))) return `the example of ${rule} did not pass unchanged`;
      }
    }
  }
  return tryExamples(trial, loaded, dialect, lexing, overridden);
}

/**
 * What the authors of the rules wrote beside them, judged as the first use of each would be, and then sent as its
 * next use: an attack is replaced where its rule blocks, a benign statement passes unchanged.
 */
async function tryExamples(
  trial: Trial,
  loaded: Loaded,
  dialect: Dialect,
  lexing: Lexing,
  overridden: ReadonlySet<bigint>,
): Promise<string | null> {
  const tried = { attack: 0, benign: 0 };
  for (const { rules } of loaded.parts)
    for (const { rule, sql: text, dialect: of, attack } of rules.examples) {
      if (of !== dialect || text.length > 4_096 || tried[attack ? "attack" : "benign"] >= EXAMPLES_MAX)
        continue;
      const sql = Buffer.from(text);
      const known = lexing.fingerprint(sql, dialect, 0);
      // What has a verdict already keeps it.
      if (known === 0n || overridden.has(known) || loaded.slot.knows(known)) continue;
      const { verdict, action, rules: ids, holdsForShape } = rules.judge({ sql, dialect, session: 0 });
      if (!holdsForShape || (attack && (verdict !== "attack" || action !== "block"))) continue;
      if (!attack && verdict !== "benign") continue;
      tried[attack ? "attack" : "benign"] += 1;
      const index = attack ? loaded.ruleIds.indexOf(ids[0] ?? "") : -1;
      loaded.slot.setVerdict(known, { verdict, action, rule: index < 0 ? null : index, source: "judged" });
      const result = await trial.send(frame(dialect, text), { quiet: !attack });
      loaded.slot.deleteVerdict(known);
      const wrong = attack
        ? wasReplaced(result, ids[0] ?? "")
        : result.arrived.equals(frame(dialect, text))
          ? null
          : "it did not pass unchanged";
      if (wrong) return `the ${attack ? "attack" : "benign"} example of ${rule}: ${wrong}`;
    }
  return null;
}

function wasReplaced({ arrived, told }: Awaited<ReturnType<Trial["send"]>>, rule: string): string | null {
  if (!told) return "the kernel told of no event";
  if (told.guarantee !== "prevented" || !told.substituted) return `it was ${told.guarantee}, not prevented`;
  // The names that a client reads are cut to 30 bytes.
  if (!arrived.includes(`Picket blocked: ${rule.slice(0, 30)}`)) return "what arrived does not name the rule";
  return null;
}

/** COM_QUERY, or Query. */
export function frame(dialect: Dialect, sql: string): Buffer {
  const text = Buffer.from(sql);
  switch (dialect) {
    case "mysql": {
      const header = Buffer.from([0, 0, 0, 0, 3]);
      header.writeUIntLE(text.length + 1, 0, 3);
      return Buffer.concat([header, text]);
    }
    case "pg": {
      const header = Buffer.from([0x51, 0, 0, 0, 0]);
      header.writeUInt32BE(text.length + 5, 1);
      return Buffer.concat([header, text, Buffer.from([0])]);
    }
  }
}
