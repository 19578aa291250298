/**
 * PostgreSQL stores neither U+0000 nor lone surrogates, and what a node reports holds text that an attacker chose.
 * Such characters become U+FFFD: a batch must not be stuck because of one.
 */
const UNSTORABLE = /\\u(0000|d[89a-f][0-9a-f]{2})/i;

/** Whether JSON text, as it came, can be stored as it is. */
export const isStorable = (text: string): boolean => !UNSTORABLE.test(text) && !text.includes("\0");

/** As JSON text: looked at first, since nearly no text needs the walk. JSON.stringify escapes exactly these. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value);
  return UNSTORABLE.test(text) ? JSON.stringify(value, (_key, item) => storableText(item)) : text;
}

export function storable<T>(value: T): T {
  return JSON.parse(storableJson(value)) as T;
}

function storableText(item: unknown): unknown {
  if (typeof item !== "string") return item;
  // With the u flag a surrogate matches only where it has no partner.
  return item.replace(/\0|[\ud800-\udfff]/gu, "\ufffd");
}
