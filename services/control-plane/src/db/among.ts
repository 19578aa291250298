/** `in (…)` with one parameter, however many: a statement of thousands shows in the profile of a wave. */
import { type Column, type SQL, sql } from "drizzle-orm";

/** The ids are UUIDs: nothing in them ends the array's text. */
export const among = (column: Column, ids: Iterable<string>): SQL =>
  sql`${column} = any(${sql.param(`{${[...ids].join(",")}}`)}::uuid[])`;
