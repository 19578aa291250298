/** Lists in pages: a cursor is the sequence number of the last item shown. */
import { z } from "@hono/zod-openapi";

export const PageInput = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.coerce.number().int().min(0).optional(),
});
export interface PageInput {
  limit: number;
  cursor?: number | undefined;
}
export interface Page<T> {
  items: T[];
  nextCursor: string | null;
}

/** `rows` holds one more than the limit when there is a next page. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  { limit }: PageInput,
  cursorOf: (row: Row) => number,
  show: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(show),
    nextCursor: rows.length > limit && last !== undefined ? String(cursorOf(last)) : null,
  };
}

export const whole = <Item>(items: Item[]): Page<Item> => ({ items, nextCursor: null });
