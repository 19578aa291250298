import type { RolloutDetails } from "@picket/shared/api";
import { type ReactNode, useId, useState } from "react";
import { mayChange, type RolloutVerb, useRolloutVerb, verbsOf } from "../../api/changes.ts";
import { Button } from "../../ui/button.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { plural } from "../../ui/words.ts";
import { useMe } from "../shell/shell.tsx";

const verbs: readonly RolloutVerb[] = ["approve", "pause", "resume", "promote", "abort", "rollback"];
const names: Record<RolloutVerb, string> = {
  approve: "Approve",
  promote: "Promote",
  pause: "Pause",
  resume: "Resume",
  abort: "Abort",
  rollback: "Roll back",
};

function consequence(verb: RolloutVerb, rollout: RolloutDetails): ReactNode {
  const reached = plural(rollout.nodes.reached, "node");
  switch (verb) {
    case "approve":
      return rollout.asks
        ? `Step ${rollout.asks.step + 1} begins as soon as nothing else holds it. You are asked because: ${rollout.asks.because}.`
        : "Nobody is asked now.";
    case "promote":
      return "The next step begins without the rest of the soak, and without the comparison being sure. Nodes that have not installed the version, or are silent, still hold it.";
    case "pause":
      return `It stays at its step: no further node is told. The ${reached} reached so far keep v${rollout.version}.`;
    case "resume":
      return "It goes on at its step. The soak begins anew, since what happened meanwhile was not watched.";
    case "abort":
      if (rollout.state === "rolling-back")
        return "The roll back is given up: nodes that have not returned yet may keep what they have.";
      return `No further node is told. The ${reached} reached so far keep v${rollout.version}; this cannot be resumed.`;
    case "rollback":
      return rollout.previous === null
        ? `The ${reached} reached so far are told to let v${rollout.version} go. There is no earlier version to return to.`
        : `The ${reached} reached so far are told to return to v${rollout.previous}.`;
  }
}

export function Controls({ rollout, later }: { rollout: RolloutDetails; later: boolean }) {
  const person = useMe();
  const change = useRolloutVerb(rollout.id);
  const [asking, setAsking] = useState<RolloutVerb | null>(null);
  const noteId = useId();
  const possible = later ? [] : verbsOf(rollout);
  const allowed = verbs.some(verb => mayChange(person.role, verb));
  const shown = verbs.filter(verb => {
    if (verb === "resume" || verb === "approve" || verb === "promote") return possible.includes(verb);
    return verb !== "pause" || !possible.includes("resume");
  });
  return (
    <div>
      <fieldset className="flex flex-wrap gap-2">
        <legend className="sr-only">Change this rollout</legend>
        {shown.map(verb => (
          <Button
            key={verb}
            look={verb === "abort" || verb === "rollback" ? "danger" : verb === "approve" ? "solid" : "plain"}
            disabled={!mayChange(person.role, verb) || !possible.includes(verb) || change.isPending}
            aria-describedby={allowed ? undefined : noteId}
            onClick={() => setAsking(verb)}
          >
            {names[verb]}
          </Button>
        ))}
      </fieldset>
      {allowed && later && (
        <p className="pt-1 text-xs text-faint">A later rollout of {rollout.ruleSet} came after this one.</p>
      )}
      {!allowed && (
        <p id={noteId} className="pt-1 text-xs text-faint">
          Your role is {person.role}; an operator may change rollouts.
        </p>
      )}
      {change.isError && (
        <p role="alert" className="max-w-[48ch] pt-1 text-sm font-medium text-danger">
          {change.error.message}
        </p>
      )}
      {asking && (
        <Confirm
          title={`${names[asking]} ${rollout.ruleSet} v${rollout.version}?`}
          action={names[asking]}
          look={asking === "abort" || asking === "rollback" ? "danger" : "solid"}
          busy={change.isPending}
          onClose={() => setAsking(null)}
          onConfirm={() => change.mutate(asking, { onSettled: () => setAsking(null) })}
        >
          {consequence(asking, rollout)}
        </Confirm>
      )}
    </div>
  );
}
