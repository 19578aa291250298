/** What nodes made of a shared verdict, in words. No word here may claim more than the node said. */
import type { ImmunityStatus, SharedVerdictRow } from "@picket/shared/api";
import type { DisbeliefCode } from "@picket/shared/immunity";
import type { Tone } from "../../ui/badges.tsx";
import { joined, plural } from "../../ui/words.ts";

export const disbeliefMeaning: Record<DisbeliefCode, string> = {
  malformed: "What arrived is not a shared verdict.",
  unsigned: "It carries no signature.",
  "foreign-key": "No rule version that this node runs lets this key share verdicts.",
  tampered: "Its signature is not of these bytes.",
  "delegation-expired": "The key's leave to share is over.",
  expired: "It was over when it arrived.",
  "ttl-above-cap": "It would hold for longer than the key may say.",
  "over-cap": "As many are in force here as the key may say.",
  "over-node-cap": "As many of one node are in force here as the key may say.",
  "over-rate": "More came in an hour than the key may say.",
  "other-shape": "No statement of this shape can be made here.",
  "not-hostile-here": "This node's own rules do not call it an attack that is to be blocked.",
  "allowed-here": "A rule set or a person allows it here.",
  "honest-here": "A workload of this node sends it, and it was found honest.",
};

export const stateName: Record<SharedVerdictRow["state"], string> = {
  pending: "being judged",
  "in-force": "in force",
  refused: "refused",
  revoked: "taken back",
  expired: "expired",
};

export const stateTone: Record<SharedVerdictRow["state"], Tone> = {
  pending: "busy",
  "in-force": "good",
  refused: "warning",
  revoked: "danger",
  expired: "plain",
};

export function isStanding({ state }: Pick<SharedVerdictRow, "state">): boolean {
  return state === "pending" || state === "in-force";
}

export function disbelievers(refused: SharedVerdictRow["refused"]): number {
  return Object.values(refused).reduce((sum, nodes) => sum + nodes, 0);
}

/** "2 honest here, 1 over cap": the most frequent reason first. */
export function reasons(refused: SharedVerdictRow["refused"]): string {
  return Object.entries(refused)
    .sort(([, a], [, b]) => b - a)
    .map(([code, nodes]) => `${nodes} ${code.replaceAll("-", " ")}`)
    .join(", ");
}

/** Whether anything is shared, and if not, why not and what to do. */
export type Standing =
  | { kind: "stopped"; by: string; at: string; reason: string }
  | { kind: "no-key" }
  | { kind: "no-leave"; keyid: string }
  | { kind: "on"; text: string };

export function standingOf({ keyid, delegations, stopped, verdicts }: ImmunityStatus): Standing {
  if (stopped) return { kind: "stopped", ...stopped };
  if (keyid === null) return { kind: "no-key" };
  if (delegations.length === 0) return { kind: "no-leave", keyid };
  const inForce = verdicts["in-force"] ?? 0;
  const sets = [...new Set(delegations.map(({ ruleSet }) => ruleSet))];
  return {
    kind: "on",
    text: `What one node finds hostile, the others deny, by leave of ${joined(sets)}. ${
      inForce === 0 ? "Nothing is in force now." : `${plural(inForce, "verdict")} in force.`
    }`,
  };
}
