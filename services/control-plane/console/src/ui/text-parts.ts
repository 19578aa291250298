/** Text that an attacker or a host chose, cut so that nothing in it is invisible or turns the line around. */

// Controls and invisible formats (bidirectional overrides, zero width, tags), but not tab and line feed.
const ODD = /((?![\t\n])[\p{Cc}\p{Cf}\u2028\u2029])/u;

export function oddParts(text: string): { text: string; odd: boolean }[] {
  return text
    .split(ODD)
    .map((part, i) =>
      // What a split captures stands at the odd places.
      i % 2 === 1
        ? { text: `U+${part.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}`, odd: true }
        : { text: part, odd: false },
    )
    .filter(part => part.text !== "");
}
