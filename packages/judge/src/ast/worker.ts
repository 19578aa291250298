/**
 * The process in which parsers run: their memory and whatever they do with a hostile statement stay here, and the
 * owner ends it when it takes too long or has nothing to do. It ends with its owner.
 */
import type { Dialect } from "@picket/shared/vocabulary";
import { type Analysis, analyse, loadParser, type Parser } from "./analyse.ts";

export type Question = { id: number; dialect: Dialect; statements: readonly string[] };
export type Answer = { id: number; analyses: Analysis[] };

const parsers = new Map<Dialect, Promise<Parser>>();

process.on("disconnect", () => process.exit());
process.on("message", async (question: Question) => {
  const { id, dialect, statements } = question;
  let parser = parsers.get(dialect);
  if (!parser) {
    parser = loadParser(dialect);
    parsers.set(dialect, parser);
  }
  const parse = await parser;
  const analyses = statements.map(sql => analyse(parse, sql, dialect));
  process.send?.({ id, analyses } satisfies Answer);
});
