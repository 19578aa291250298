import type { BpfErrorCode } from "@picket/native/bpf";

export type SlotRefusal = { code: "malformed" | "verifier-refused" | "load-failed"; detail: string };

/** Whose fault it is: the program's, and no second try helps, or this host's, of which more memory may be had later. */
export function slotRefusalCode(code: BpfErrorCode): SlotRefusal["code"] {
  switch (code) {
    case "BPF_VERIFIER_REFUSED":
      return "verifier-refused";
    // No object file, or one without the programs and maps that the agent wants.
    case "BPF_OPEN_FAILED":
    case "BPF_NOT_FOUND":
    case "BPF_BAD_INPUT":
      return "malformed";
    default:
      return "load-failed";
  }
}

/**
 * What a node tells of a program that its kernel refused. The message, which ends with the complaint, always stands
 * first; of the verifier's lines the last ones that fit, whole. A line with many registers takes hundreds of characters.
 */

export const REFUSAL_CHARACTERS_MAX = 4_000;

export function refusalText(message: string, lastLines: readonly string[]): string {
  const kept: string[] = [];
  const head = message.slice(0, REFUSAL_CHARACTERS_MAX);
  let left = REFUSAL_CHARACTERS_MAX - head.length;
  for (const line of lastLines.toReversed()) {
    left -= line.length + 1;
    if (left < 0) break;
    kept.unshift(line);
  }
  return [head, ...kept].join("\n");
}
