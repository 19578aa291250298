/** What the page says of the vocabulary (packages/shared), once. No sentence here may claim more than its word:
 * `severed` lets earlier bytes leave, `observed` stops nothing, `unseen` is not "quiet". */
import type { Guarantee, Priority, Verdict } from "@picket/shared/vocabulary";

export const guarantees: readonly Guarantee[] = ["prevented", "severed", "observed", "unseen"];

/** Of one statement: what was true when it was sent. */
export const statementMeaning: Record<Guarantee, string> = {
  prevented: "Stopped before it left the host.",
  severed: "The connection was cut, but part of the statement had already left.",
  observed: "Seen and judged. It was not stopped.",
  unseen: "Picket did not see what was sent.",
};

/** Of a connection: what would be true of a statement that the rules block. */
export const connectionMeaning: Record<Guarantee, string> = {
  prevented: "A statement that the rules block is stopped before it leaves the host.",
  severed: "The connection is cut, but part of the statement may already have left.",
  observed: "Statements are seen and judged. None is stopped.",
  unseen: "Picket cannot see what is sent here: what the rules block would pass unnoticed.",
};

export const verdictMeaning: Record<Verdict, string> = {
  attack: "The statement does what an injection does.",
  probe: "The statement looks like someone trying what works.",
  benign: "The statement is an ordinary one.",
};

export const priorityMeaning: Record<Priority, string> = {
  P0: "Now",
  P1: "Today",
  P2: "This week",
  P3: "For your information",
};

const plain = new Intl.NumberFormat("en");
export const count = (value: number): string => plain.format(value);

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Rounded so that it never says all where it is not all, nor none where it is not none. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "–";
  const exact = (part / whole) * 100;
  if (part > 0 && exact < 1) return "under 1 %";
  if (part < whole && exact > 99) return "over 99 %";
  return `${Math.round(exact)} %`;
}

export function bytes(value: number): string {
  return value < 10 * 2 ** 20 ? `${(value / 2 ** 20).toFixed(1)} MB` : `${Math.round(value / 2 ** 20)} MB`;
}

/** Parts of a sentence joined as people do: a, b and c. */
export function joined(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join("");
  return `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}
