/**
 * Whom a rule, a shape or a whole rule set is about: `match:` names workloads, database users, databases and labels,
 * exactly or by glob (`*` any text, `?` one character). All that is named must fit; of a list one entry must.
 */
import { z } from "zod";
import { Dialect } from "./vocabulary.ts";

/** A name, or a glob over names. Case counts, as it does for users and databases of most servers. */
export const Glob = z.string().min(1).max(255);

const oneOrMany = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1).max(100)]);

const what = {
  protocol: oneOrMany(Dialect).optional().describe("mysql or pg"),
  workload: oneOrMany(Glob).optional().describe("name of the workload on the node, such as a unit or cgroup"),
  user: oneOrMany(Glob).optional().describe("database user of the connection"),
  database: oneOrMany(Glob).optional().describe("database that the connection was opened for"),
  labels: z
    .record(z.string().min(1).max(63), oneOrMany(Glob))
    .optional()
    .describe("labels of the workload, else of the node"),
};

/** Of connections, `except` is what is left out although the rest fits. */
export const Match = z.strictObject({
  ...what,
  except: z.strictObject(what).optional().describe("left out although the rest fits"),
});
export type Match = z.infer<typeof Match>;
export type MatchFields = Omit<Match, "except">;
