/**
 * All that the command prints. Standard output carries results and nothing else: with --json one JSON value
 * (or, for streams, one a line), else text that a person reads. Notes and errors go to standard error. Colour
 * only on a terminal that wants it (https://no-color.org).
 */
import { stripVTControlCharacters, styleText } from "node:util";

export type Style = Parameters<typeof styleText>[0];

export type Output = {
  json: boolean;
  /** Standard output is a terminal: progress may be redrawn in place. */
  live: boolean;
  width: number;
  /** One machine-readable value, or what a person reads of it. */
  result(value: unknown, human: () => string): void;
  line(text: string): void;
  note(text: string): void;
  paint(style: Style, text: string): string;
};

export function createOutput({ json, env }: { json: boolean; env: NodeJS.ProcessEnv }): Output {
  const live = !json && process.stdout.isTTY === true;
  const colour = !json && !env.NO_COLOR && env.TERM !== "dumb" && (live || (env.FORCE_COLOR ?? "0") !== "0");
  return {
    json,
    live,
    width: live ? Math.max(process.stdout.columns ?? 80, 60) : Number.POSITIVE_INFINITY,
    result(value, human) {
      if (json) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
      else {
        const text = human();
        if (text !== "") process.stdout.write(`${text}\n`);
      }
    },
    line: text => void process.stdout.write(`${text}\n`),
    note: text => void (json || process.stderr.write(`${text}\n`)),
    paint: (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text),
  };
}

/** Text from elsewhere must not drive the reader's terminal: control and direction characters become visible. */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, character =>
    character === "\n" || character === "\t"
      ? " "
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export type Column<Row> = {
  title: string;
  value: (row: Row) => string;
  style?: (row: Row) => Style | null;
  align?: "right";
  /** The one column that gives way where the terminal is narrow. */
  flexible?: boolean;
};

export function table<Row>(output: Output, rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map(row => columns.map(column => harmless(column.value(row))));
  const widths = columns.map((column, i) =>
    Math.max(column.title.length, ...cells.map(row => width(row[i]!))),
  );
  const gaps = 2 * (columns.length - 1);
  const flexible = columns.findIndex(column => column.flexible);
  const over = widths.reduce((sum, w) => sum + w, gaps) - output.width;
  if (flexible >= 0 && over > 0) widths[flexible] = Math.max(widths[flexible]! - over, 12);

  const line = (texts: readonly string[], style: (i: number) => Style | null) =>
    texts
      .map((text, i) => {
        const cut = truncate(text, widths[i]!);
        const space = " ".repeat(Math.max(widths[i]! - width(cut), 0));
        const wanted = style(i);
        const painted = wanted === null ? cut : output.paint(wanted, cut);
        if (columns[i]!.align === "right") return space + painted;
        return i === texts.length - 1 ? painted : painted + space;
      })
      .join("  ")
      .trimEnd();
  return [
    line(
      columns.map(column => column.title),
      () => "dim",
    ),
    ...cells.map((texts, r) => line(texts, i => columns[i]!.style?.(rows[r]!) ?? null)),
  ].join("\n");
}

/** Rows of the terminal that a text takes: a line that is longer than it is wide goes on in the next one. */
export const rowsOf = (output: Output, text: string): number =>
  stripVTControlCharacters(text)
    .split("\n")
    .reduce((rows, line) => rows + Math.max(1, Math.ceil(width(line) / output.width)), 0);

/** Labels on the left, values on the right, aligned. */
export function facts(output: Output, rows: readonly (readonly [string, string])[]): string {
  const left = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${output.paint("dim", label.padEnd(left))}  ${value}`).join("\n");
}

const segments = new Intl.Segmenter();

function width(text: string): number {
  let columns = 0;
  for (const { segment } of segments.segment(text)) columns += isWide(segment.codePointAt(0)!) ? 2 : 1;
  return columns;
}

/** East Asian wide characters and emoji take two columns (Unicode UAX #11, the blocks that matter). */
function isWide(point: number): boolean {
  return (
    (point >= 0x1100 && point <= 0x115f) ||
    (point >= 0x2e80 && point <= 0xa4cf) ||
    (point >= 0xac00 && point <= 0xd7a3) ||
    (point >= 0xf900 && point <= 0xfaff) ||
    (point >= 0xfe30 && point <= 0xfe6f) ||
    (point >= 0xff00 && point <= 0xff60) ||
    (point >= 0x1f300 && point <= 0x1faff)
  );
}

function truncate(text: string, most: number): string {
  if (width(text) <= most) return text;
  let kept = "";
  let columns = 0;
  for (const { segment } of segments.segment(text)) {
    const wide = isWide(segment.codePointAt(0)!) ? 2 : 1;
    if (columns + wide > most - 1) break;
    kept += segment;
    columns += wide;
  }
  return `${kept}…`;
}

export function ago(iso: string | null, nowMs = Date.now()): string {
  if (iso === null) return "never";
  const ms = nowMs - Date.parse(iso);
  return ms >= 0 ? `${span(ms)} ago` : `in ${span(-ms)}`;
}

export function span(ms: number): string {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

export const priorityStyle = (priority: string): Style =>
  priority === "P0" ? ["red", "bold"] : priority === "P1" ? "red" : priority === "P2" ? "yellow" : "dim";

export function labelsText(labels: Record<string, string>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");
}
