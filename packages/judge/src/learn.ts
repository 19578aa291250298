/** Teaches a profile a statement: what it is, whether it may be learned, and what its rules say of it. */
import { lex } from "@picket/native/lexer";
import type { Result } from "@picket/shared/result";
import type { CompiledRuleSet } from "./compile.ts";
import type { Profile, Refusal, Seen, Template } from "./drift/profile.ts";
import { driftTokens } from "./drift/tokens.ts";
import { decide, type Statement } from "./judge.ts";
import { metRules } from "./matching.ts";
import { UNKNOWN_SESSION } from "./session.ts";

export function learn(
  compiled: CompiledRuleSet,
  profile: Profile,
  { sql, dialect, session = UNKNOWN_SESSION, context = {} }: Statement,
  seen: Seen,
): Result<Template, Refusal> {
  const { shape, shapeSha256, neverKnown, danger } = lex(sql, { dialect, session });
  const { met, exhausted } = metRules(
    compiled,
    { sql, dialect, session },
    { shape, ambiguous: danger.includes("ambiguous"), context },
  );
  const { verdict, rules } = decide(
    met.flatMap(({ rule, action, applies }) => (applies === "no" ? [] : { ...rule, action })),
    { probe: exhausted },
  );
  return profile.observe(
    {
      dialect,
      tokens: driftTokens(sql, { dialect, session }),
      shapeSha256: neverKnown ? null : shapeSha256,
      rules,
      attack: verdict === "attack",
    },
    seen,
  );
}
