/**
 * What a parser is given instead of the statement: its tokens as its own session reads them, each string as 's'.
 * So a parser that knows nothing of sql_mode or of GBK reads the same statement as the server; no literal leaves the
 * thread that judges; and 16 MB of literal are three bytes. No signal looks into a literal.
 */
import { tokenize } from "@picket/native/lexer";
import type { Statement } from "../judge.ts";
import { UNKNOWN_SESSION } from "../session.ts";

const number = /^(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e[+-]?\d{1,3})?$/i;

export function parserText({ sql, dialect, session = UNKNOWN_SESSION }: Statement): string {
  let text = "";
  let end = 0;
  for (const token of tokenize(sql, { dialect, session })) {
    if (token.start > end) text += " ";
    end = token.end;
    if (token.kind === "literal")
      text += number.test(token.text) ? token.text : /^[\d.]/.test(token.text) ? "1" : "'s'";
    else if (token.kind === "comment") text += /^\/\*M?!/.test(token.text) ? token.text : " ";
    else text += token.text;
  }
  return text;
}
