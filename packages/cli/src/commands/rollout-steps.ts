/** What a person writes of a rollout's steps and caps. */
import { usage } from "../errors.ts";

export function parseSteps({
  steps,
  share,
  scope,
}: {
  steps: string;
  share?: string;
  scope: string;
}): unknown[] {
  const shareGiven = share === undefined ? undefined : percent(share);
  return steps.split(",").map(text => {
    const given = text.trim().split(":");
    const requireApproval = given.at(-1) === "approve";
    const parts = requireApproval ? given.slice(0, -1) : given;
    if (parts.length < 2 || parts.length > 3)
      throw usage(
        `"${text}" is no step`,
        "write percent:soak, for example 20%:10m, 20%:10m:50% for half of each node's processes, or 100%:1h:approve for one that a person lets begin",
      );
    const own = parts[2] === undefined ? shareGiven : percent(parts[2]);
    return {
      percent: percent(parts[0]!),
      soak: parts[1]!,
      scope,
      ...(own === undefined ? {} : { share: own }),
      ...(requireApproval && { requireApproval }),
    };
  });
}

function percent(text: string): number {
  const match = /^\s*(\d{1,3}(?:\.\d{1,4})?)\s*%?\s*$/.exec(text);
  if (!match) throw usage(`"${text}" is no percentage`, "write 20%");
  return Number(match[1]);
}

/** `zone:2`: at most two nodes of a zone change at once; `zone:10%`: a tenth of them. */
export function parseCap(text: string): unknown {
  const match = /^([^:]+):(?:(\d{1,7})|(\d{1,3}(?:\.\d{1,4})?)\s*%)$/.exec(text.trim());
  if (!match)
    throw usage(`"${text}" is no cap`, "write label:nodes or label:percent, for example zone:2 or zone:10%");
  return match[2] === undefined
    ? { label: match[1], percent: Number(match[3]) }
    : { label: match[1], nodes: Number(match[2]) };
}

export const collectCap = (text: string, previous: unknown[] = []): unknown[] => [
  ...previous,
  parseCap(text),
];
