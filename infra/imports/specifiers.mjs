// The module specifiers of a JavaScript or TypeScript text. A full parser is not needed: comments,
// strings, templates and regular expressions are told apart, and what follows `from`, `import`,
// `import(` and `require(` is a specifier.

/** @returns {{specifier: string | undefined, line: number}[]} undefined: a computed import */
export function specifiers(text) {
  const found = [];
  const tokens = [...tokenise(text)];
  for (const [index, token] of tokens.entries()) {
    const [before, beforeThat] = [tokens[index - 1], tokens[index - 2]];
    const isMember = beforeThat?.text === "." || beforeThat?.text === "?.";
    if (token.kind === "string") {
      const isFrom = before?.text === "from" && !isMember;
      const isBare = before?.text === "import" && !isMember;
      const isCall = before?.text === "(" && isLoader(tokens, index - 2);
      if (isFrom || isBare || isCall) found.push({ specifier: token.text, line: token.line });
    } else if (before?.text === "(" && isLoader(tokens, index - 2) && token.text !== ")") {
      found.push({ specifier: undefined, line: token.line });
    }
  }
  return found;
}

/** `import(` or `require(`, but not `x.import(`, and not a method that is being declared. */
function isLoader(tokens, index) {
  const token = tokens[index];
  if (token?.kind !== "word" || (token.text !== "import" && token.text !== "require")) return false;
  return tokens[index - 1]?.text !== "." && tokens[index - 1]?.text !== "?.";
}

/** After these a slash begins a regular expression; after a name, a number or a closing bracket it divides. */
const BEFORE_REGEXP = new Set([
  "return",
  "typeof",
  "case",
  "in",
  "of",
  "do",
  "else",
  "void",
  "delete",
  "throw",
  "await",
  "yield",
]);

function* tokenise(text) {
  let at = 0;
  let line = 1;
  let last;
  const templates = []; // Depth of braces at which each open `${` ends.
  let braces = 0;

  const emit = (kind, value, startLine = line) => {
    last = { kind, text: value, line: startLine };
    return last;
  };
  const countLines = slice => {
    for (const character of slice) if (character === "\n") line++;
  };
  const take = pattern => {
    pattern.lastIndex = at;
    const match = pattern.exec(text)?.[0];
    if (match === undefined) return undefined;
    at += match.length;
    countLines(match);
    return match;
  };
  const isValue = token =>
    token !== undefined &&
    (token.kind === "string" ||
      (token.kind === "word" && !BEFORE_REGEXP.has(token.text)) ||
      token.text === ")" ||
      token.text === "]" ||
      token.text === "}");

  while (at < text.length) {
    if (take(/\s+/y) ?? take(/\/\/[^\n]*/y) ?? take(/\/\*[\s\S]*?(?:\*\/|$)/y)) continue;
    const startLine = line;
    const quoted = take(/"(?:[^"\\\n]|\\[\s\S])*"?/y) ?? take(/'(?:[^'\\\n]|\\[\s\S])*'?/y);
    if (quoted !== undefined) {
      yield emit("string", quoted.slice(1, -1), startLine);
      continue;
    }
    if (text[at] === "`" || (text[at] === "}" && templates.at(-1) === braces)) {
      if (text[at] === "}") templates.pop();
      at++;
      const chunk = take(/(?:[^`\\$]|\\[\s\S]|\$(?!\{))*/y) ?? "";
      const isWhole = text[at] === "`" && text[at - chunk.length - 1] === "`";
      if (text[at] === "`") at++;
      else if (text.startsWith("${", at)) {
        at += 2;
        templates.push(braces);
      }
      // A template without a placeholder is a string; of others only the placeholders matter.
      yield emit(isWhole ? "string" : "template", chunk, startLine);
      continue;
    }
    if (text[at] === "/" && !isValue(last)) {
      const regexp = take(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y);
      if (regexp !== undefined) {
        yield emit("string-like", regexp, startLine);
        continue;
      }
    }
    const word = take(/[\p{L}\p{N}_$#]+/uy);
    if (word !== undefined) {
      yield emit("word", word, startLine);
      continue;
    }
    const mark = text.startsWith("?.", at) ? "?." : text[at];
    at += mark.length;
    if (mark === "{") braces++;
    if (mark === "}") braces--;
    yield emit("mark", mark, startLine);
  }
}
