/**
 * SQL as Picket sees it: the lexer of packages/bpf/src/sql_lexer.h (the same source that runs in the kernel),
 * shapes, redaction and token rules. Texts are bytes; a string is read as UTF-8.
 */
export { type DangerName, dangerNames, dangerOf } from "./danger.ts";
export { type Lexed, lex, shapeAlgorithm } from "./lex.ts";
export { type HashKey, type LexOptions, randomHashKey, type Sql, type SqlDialect } from "./lexing.ts";
export { reservedWords } from "./rules/reserved.ts";
export {
  compileTokenRules,
  exhaustedRule,
  type JudgeBatchOptions,
  type Judged,
  judgeBatch,
  type Match,
  type MatchOptions,
  noRule,
  type PatternError,
  type RuleSourcePatterns,
  stepsMaxDefault,
  TokenRules,
} from "./rules/token-rules.ts";
export { type SessionFacts, SqlSession, sessionBits } from "./session.ts";
export { redact, type Token, type TokenKind, tokenize } from "./tokenize.ts";
