/**
 * Judges a statement of a shape that the kernel does not know: the rules and the workload's profile at once, the
 * parser where those leave it grey. What holds for the shape goes into the kernel's map, and honest statements into
 * the profile while it learns.
 */
import type { Context } from "@picket/judge/match";
import { type Profiles, USES_TO_LEARN } from "../profiles/profiles.ts";
import type { Statement } from "../wire/statements.ts";
import { driftBy, type Judgement, type Sent } from "./judging.ts";
import type { LearnedShapes } from "./learned.ts";
import type { Twins } from "./twin.ts";
import type { Loaded, Versions } from "./versions.ts";

export type Unknown = (
  statement: Statement,
  loaded: Loaded,
  context: Context,
  /** At once, unless the parser is asked. */
  then: (judgement: Judgement, statement: Statement) => void,
  /** What is known without the parser, where it takes longer than who waits can. */
  meanwhile?: (judgement: Judgement) => void,
) => void;

/** A statement that waits must not pay for a parser that is only being loaded. */
const PARSER_MS = 20;

export function createUnknown(input: {
  versions: Versions;
  learned: LearnedShapes;
  profiles: Profiles;
  /** Its verdict went into the kernel's map; what was sent is valid only now. */
  judged: (sent: Sent, judgement: Judgement, loaded: Loaded) => void;
  twins: Pick<Twins, "meets">;
  nowMs: () => number;
}): Unknown {
  const { versions, learned, profiles, twins, nowMs } = input;

  return (statement, loaded, context, then, meanwhile) => {
    const { sql, dialect, session } = statement;
    const profiled = profileOf(statement, context, loaded);
    const sent = { sql, dialect, session, context };
    const judgement = versions.judge(loaded, { ...sent, profile: profiled?.profile });
    // Its own word may take a parser, for which nobody waits.
    const compare = twins.meets(sent, loaded);
    const conclude = (final: Judgement, of: Statement) => {
      const rememberIt = () => remember(of, loaded, final, profiled, { ...sent, sql: of.sql });
      // Who sent an honest one waits for its answer only; a hostile shape is in the kernel before anybody hears of it.
      let key = final.verdict === "benign" ? null : rememberIt();
      then(final, of);
      if (final.verdict === "benign") key = rememberIt();
      compare?.(final, key);
    };
    if (!judgement.escalate) {
      conclude(judgement, statement);
      return;
    }
    // Its bytes are valid only while the batch is handled.
    const kept = { ...statement, sql: Buffer.from(sql) };
    const timer = meanwhile && setTimeout(() => meanwhile(judgement), PARSER_MS);
    judgement
      .escalate()
      .catch(() => judgement)
      .then(final => {
        clearTimeout(timer);
        conclude(final, kept);
      });
  };

  /** The key by which the kernel knows it from here on; null: it is judged again at its next use. */
  function remember(
    { fingerprint, scope, whole, danger }: Statement,
    loaded: Loaded,
    judgement: Judgement,
    profiled: ReturnType<typeof profileOf>,
    sent: Sent,
  ): bigint | null {
    const settled = !profiled || !whole || judgement.verdict !== "benign" || profiled.learned(sent);
    if (!judgement.holdsForShape || !settled || fingerprint === 0n) return null;
    // A part of a statement may convict it; only the whole may clear it, unless the kernel, which lexed all of it,
    // saw nothing in it that could harm.
    if (!whole && judgement.verdict === "benign" && danger !== 0) return null;
    // What was judged beside a profile holds for those whose profile it is: another workload's is asked itself.
    const key = profiled ? fingerprint ^ scope : fingerprint;
    versions.learn(loaded, key, judgement);
    const { verdict, action, rules } = judgement;
    const { sql, dialect, session } = sent;
    const sample = whole ? { sql, dialect, session } : null;
    const { workload = "", user, database } = sent.context ?? {};
    learned.learn(key, { fingerprint, verdict, action, rules, sample, workload, user, database });
    if (whole) input.judged(sent, judgement, loaded);
    return key;
  }

  /** The profile of who sent it, and what it makes of a statement that the rules find honest. */
  function profileOf({ process }: Statement, context: Context, { parts }: Loaded) {
    const { rules, drift } = driftBy(
      parts.map(part => part.rules),
      context,
    );
    const { workload = "", user = "", database = "" } = context;
    const profile = profiles.of({ workload, databaseUser: user, database }, drift, nowMs());
    if (!profile) return null;
    return {
      profile,
      /** True: the kernel may know the shape from here on. While it is learned its first uses show what varies. */
      learned(sent: Sent): boolean {
        if (profile.mode !== "learn") return true;
        const seen = { atMs: nowMs(), process: `${process.pid}@${process.startNs}` };
        const template = rules.learn(profile, sent, seen);
        if (template) profiles.counted(profile);
        return template === null || template.count >= USES_TO_LEARN;
      },
    };
  }
}
