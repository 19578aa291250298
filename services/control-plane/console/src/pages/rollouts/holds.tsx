/** What holds every rollout: the emergency stop, which is one button, and freeze windows. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { mayChange, reachesFleet, useEmergencyStop } from "../../api/changes.ts";
import { emergencyStop, freezes } from "../../api/queries.ts";
import { Button } from "../../ui/button.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { Reason } from "../../ui/reason.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago, Clock } from "../../ui/time.tsx";
import { useMe } from "../shell/shell.tsx";

/** Null: not stopped. */
function useStop() {
  const stop = useQuery(emergencyStop).data?.stop ?? null;
  return stop?.releasedAt === null ? stop : null;
}

/** On every page while it lasts. */
export function StopBanner() {
  const stop = useStop();
  if (!stop) return null;
  return (
    <p role="alert" className="border-b border-danger bg-danger-wash px-4 py-2 text-sm text-danger md:px-8">
      <strong>The fleet is stopped.</strong> No rollout starts or goes on
      {stop.rollBack ? "; unfinished ones are rolled back" : ""}. By {stop.by}, <Ago at={stop.at} />:{" "}
      <Foreign>{stop.reason}</Foreign>
    </p>
  );
}

export function EmergencyStop() {
  const person = useMe();
  const allowed = mayChange(person.role, "pause") && reachesFleet(person);
  const stop = useStop();
  const change = useEmergencyStop();
  // What was asked stays asked, whatever another person presses meanwhile.
  const [asking, setAsking] = useState<"stop" | "release" | null>(null);
  const [reason, setReason] = useState("");
  const [rollBack, setRollBack] = useState(false);
  const close = () => setAsking(null);
  return (
    <div>
      <Button
        look={stop ? "plain" : "danger"}
        disabled={!allowed}
        onClick={() => setAsking(stop ? "release" : "stop")}
      >
        {stop ? "Release the stop" : "Emergency stop"}
      </Button>
      {change.isError && (
        <p role="alert" className="max-w-[40ch] pt-1 text-sm font-medium text-danger">
          {change.error.message}
        </p>
      )}
      {asking === "release" && (
        <Confirm
          title="Let rollouts go on?"
          action="Release"
          look="solid"
          busy={change.isPending}
          onClose={close}
          onConfirm={() => change.mutate("release", { onSettled: close })}
        >
          Those that were running go on at their step. Their soak begins anew.
        </Confirm>
      )}
      {asking === "stop" && (
        <Confirm
          title="Stop all rollouts?"
          action="Stop the fleet"
          look="danger"
          busy={change.isPending || reason.trim() === ""}
          onClose={close}
          onConfirm={() =>
            change.mutate(
              { reason: reason.trim(), rollBack },
              {
                onSettled: close,
                onSuccess: () => setReason(""),
              },
            )
          }
        >
          <p>No rollout starts, reaches a node or goes on until somebody releases the stop.</p>
          <Reason value={reason} onChange={setReason} />
          <label className="mt-3 flex items-start gap-2 text-sm text-ink">
            <input
              type="checkbox"
              className="mt-1"
              checked={rollBack}
              onChange={event => setRollBack(event.target.checked)}
            />
            Return every node that an unfinished rollout has reached to what is stable for it
          </label>
        </Confirm>
      )}
    </div>
  );
}

/** Only while one holds. */
export function Frozen() {
  const now = (useQuery(freezes).data?.items ?? []).filter(({ frozenUntil }) => frozenUntil !== null);
  if (now.length === 0) return null;
  return (
    <p role="status" className="mb-4 border-l-4 border-warning bg-warning-wash px-3 py-2 text-sm">
      <span className="font-semibold">Frozen.</span> No step begins:{" "}
      {now.map((each, i) => (
        <span key={each.id}>
          {i > 0 && "; "}
          <Foreign>{each.reason}</Foreign>, until <Clock at={each.frozenUntil ?? ""} />
        </span>
      ))}
    </p>
  );
}
