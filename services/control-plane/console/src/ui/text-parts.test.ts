import { expect, test } from "vitest";
import { oddParts } from "./text-parts.ts";

const shown = (text: string) =>
  oddParts(text)
    .map(part => (part.odd ? `[${part.text}]` : part.text))
    .join("");

test.each([
  ["plain text", "plain text"],
  ["tab\tand\nline", "tab\tand\nline"],
  ["right\u202eto left", "right[U+202E]to left"],
  ["nul\u0000", "nul[U+0000]"],
  ["zero\u200bwidth", "zero[U+200B]width"],
  ["tag \u{e0041}", "tag [U+E0041]"],
  ["accents é ü 名", "accents é ü 名"],
])("what is invisible is named: %j", (text, expected) => expect(shown(text)).toBe(expected));
