/**
 * Reads YAML so that every value remembers where it stood. What is not needed for rules and could hurt is
 * refused with its position: aliases (an alias bomb grows by powers), tags, several documents, duplicate keys.
 * Nesting is bounded on the token stream, before the composer recurses: deep nesting does not throw there, it
 * ends the process (V8 gives up inside a regular expression when the stack is nearly full). The composer's own
 * check for duplicate keys is quadratic, so it is off and done here.
 */

import { err, ok, type Result } from "@picket/shared/result";
import {
  Composer,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type ParsedNode,
  Parser,
  type Scalar,
} from "yaml";

export const TEXT_BYTES_MAX = 2 * 1024 * 1024;
/** Entries of the parser's stack: a map in a list takes about four. Rule sets need fewer than 20. */
const PARSER_DEPTH_MAX = 48;

export type Path = readonly (string | number)[];
export type Position = { line: number; column: number };
export type YamlError = Position & { path: Path; message: string; hint: string | null };

export type YamlSource = {
  value: unknown;
  /** Where a value starts; for one that is missing, where its nearest parent starts. */
  at(path: Path): Position;
  /** Where the key itself stands. */
  atKey(path: Path): Position;
  /** Where character `index` of a text value stands in the file. */
  atCharacter(path: Path, index: number): Position;
};

type Place = {
  start: number;
  keyStart: number | null;
  scalar: Scalar.Parsed | null;
  children: Map<string | number, Place>;
};

export function readYaml(text: string): Result<YamlSource, YamlError[]> {
  const bytes = Buffer.byteLength(text);
  const origin = { line: 1, column: 1, path: [], hint: null };
  if (bytes > TEXT_BYTES_MAX)
    return err([{ ...origin, message: `the text has ${bytes} bytes; at most ${TEXT_BYTES_MAX} are read` }]);

  const lines = new LineCounter();
  const positionOf = (offset: number): Position => {
    const { line, col } = lines.linePos(Math.min(offset, text.length));
    return { line, column: Math.max(col, 1) };
  };
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const tokens = [];
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) tokens.push(token);
    if (parser.stack.length > PARSER_DEPTH_MAX)
      return err([{ ...positionOf(parser.offset), path: [], message: "nested too deeply", hint: null }]);
  }
  for (const token of parser.end()) tokens.push(token);

  const composer = new Composer({ prettyErrors: false, stringKeys: true, uniqueKeys: false });
  const documents = [...composer.compose(tokens, true, text.length)];
  const errors: YamlError[] = documents.flatMap(document =>
    [...document.errors, ...document.warnings].map(problem => ({
      ...positionOf(problem.pos[0]),
      path: [],
      message: `not valid YAML: ${lowerFirst(problem.message)}`,
      hint: null,
    })),
  );
  const second = documents[1];
  if (second)
    errors.push({
      ...positionOf(second.range[0]),
      path: [],
      message: "a second YAML document starts here",
      hint: "one file holds one rule set",
    });
  if (errors.length > 0) return err(errors);

  const refuse = (node: ParsedNode, path: Path, message: string, hint: string | null) =>
    errors.push({ ...positionOf(node.range[0]), path, message, hint });

  function read(node: ParsedNode | null, path: Path, place: Place): unknown {
    if (node === null) return null;
    place.start = node.range[0];
    if (isAlias(node)) {
      refuse(node, path, "an alias is not accepted", "write the value out");
      return null;
    }
    if (node.tag && !node.tag.startsWith("tag:yaml.org,2002:"))
      refuse(node, path, `the tag ${node.tag} is not accepted`, null);
    if (isScalar(node)) {
      place.scalar = node;
      return node.value;
    }
    if (isSeq(node)) return node.items.map((item, i) => read(item, [...path, i], child(place, i, null)));
    if (!isMap(node)) return null;
    const entries: [string, unknown][] = [];
    for (const { key, value } of node.items) {
      const name = String(isScalar(key) ? key.value : key);
      const at = [...path, name];
      if (place.children.has(name)) refuse(key, at, `the key "${name}" is given twice`, "keep one of them");
      entries.push([name, read(value, at, child(place, name, key.range[0]))]);
    }
    return Object.fromEntries(entries);
  }

  const root = newPlace(0, null);
  const value = read(documents[0]?.contents ?? null, [], root);
  if (errors.length > 0) return err(errors);

  const nearest = (path: Path): Place => {
    let place = root;
    for (const step of path) {
      const next = place.children.get(step);
      if (!next) return place;
      place = next;
    }
    return place;
  };
  return ok({
    value,
    at: path => positionOf(nearest(path).start),
    atKey: path => {
      const place = nearest(path);
      return positionOf(place.keyStart ?? place.start);
    },
    atCharacter: (path, index) => {
      const { scalar, start } = nearest(path);
      return positionOf(scalar ? offsetInScalar(text, scalar, index) : start);
    },
  });
}

function newPlace(start: number, keyStart: number | null): Place {
  return { start, keyStart, scalar: null, children: new Map() };
}

/** An empty value has no node: it stands where its key does. */
function child(parent: Place, step: string | number, keyStart: number | null): Place {
  const place = newPlace(keyStart ?? parent.start, keyStart);
  parent.children.set(step, place);
  return place;
}

/**
 * Walks value and source together. A folded line break in the source is one blank (or line break) in the
 * value, whatever indentation follows it; a quote may be doubled or an escape sequence.
 */
function offsetInScalar(text: string, scalar: Scalar.Parsed, index: number): number {
  const value = String(scalar.source ?? scalar.value);
  const end = scalar.range[1];
  let offset = scalar.range[0];
  const quoted = scalar.type === "QUOTE_SINGLE" || scalar.type === "QUOTE_DOUBLE";
  if (quoted) offset += 1;
  let indentation = Number.POSITIVE_INFINITY;
  if (scalar.type === "BLOCK_LITERAL" || scalar.type === "BLOCK_FOLDED") {
    const line = text.indexOf("\n", offset) + 1;
    offset = skipIndentation(text, line, end, indentation);
    // Blanks beyond the first line's indentation belong to the value.
    indentation = offset - line;
  }
  for (let i = 0; i < index && i < value.length && offset < end; i++) {
    const lineBreak = /[ \t]*\r?\n/y;
    lineBreak.lastIndex = offset;
    if (/[ \n]/.test(value[i]!) && lineBreak.test(text)) {
      offset = skipIndentation(text, lineBreak.lastIndex, end, indentation);
    } else if (scalar.type === "QUOTE_SINGLE" && text[offset] === "'") offset += 2;
    else if (scalar.type === "QUOTE_DOUBLE" && text[offset] === "\\")
      offset += { x: 4, u: 6, U: 10 }[text[offset + 1] ?? ""] ?? 2;
    else offset += 1;
  }
  return offset;
}

function skipIndentation(text: string, offset: number, end: number, most: number): number {
  const last = Math.min(end, offset + most);
  while (offset < last && (text[offset] === " " || text[offset] === "\t")) offset += 1;
  return offset;
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
