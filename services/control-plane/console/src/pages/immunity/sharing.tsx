/** Whether verdicts are shared at all, by whose leave, and the switch that takes everything back. */
import type { ImmunityStatus } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { mayChange, mayOperate, reachesFleet, useSharingStop } from "../../api/changes.ts";
import { immunity } from "../../api/queries.ts";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/command.tsx";
import { Confirm } from "../../ui/confirm.tsx";
import { Scroll, Section } from "../../ui/layout.tsx";
import { Reason } from "../../ui/reason.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { useMe } from "../shell/shell.tsx";
import { standingOf } from "./answers.ts";

export function SharingSwitch() {
  const person = useMe();
  const status = useQuery(immunity).data;
  const change = useSharingStop();
  // What was asked stays asked, whatever another person presses meanwhile.
  const [asking, setAsking] = useState<"stop" | "release" | null>(null);
  const [reason, setReason] = useState("");
  const close = () => setAsking(null);
  if (!status) return null;
  const stopped = status.stopped !== null;
  const allowed = stopped ? mayOperate(person.role) : mayChange(person.role, "pause");
  const live = (status.verdicts["in-force"] ?? 0) + (status.verdicts.pending ?? 0);
  return (
    <div>
      <Button
        look={stopped ? "plain" : "danger"}
        disabled={!allowed || !reachesFleet(person)}
        onClick={() => setAsking(stopped ? "release" : "stop")}
      >
        {stopped ? "Share again" : "Stop sharing"}
      </Button>
      {!allowed && (
        <p className="pt-1 text-xs text-faint">
          Your role is {person.role}; an operator may {stopped ? "let verdicts be shared again" : "stop it"}.
        </p>
      )}
      {change.isError && (
        <p role="alert" className="max-w-[40ch] pt-1 text-sm font-medium text-danger">
          {change.error.message}
        </p>
      )}
      {asking === "release" && (
        <Confirm
          title="Share verdicts again?"
          action="Share again"
          look="solid"
          busy={change.isPending}
          onClose={close}
          onConfirm={() => change.mutate("release", { onSettled: close })}
        >
          What was taken back stays so. What nodes claim from now on is judged and shared.
        </Confirm>
      )}
      {asking === "stop" && (
        <Confirm
          title="Stop sharing verdicts?"
          action="Stop sharing"
          look="danger"
          busy={change.isPending || reason.trim() === ""}
          onClose={close}
          onConfirm={() =>
            change.mutate({ reason: reason.trim() }, { onSettled: close, onSuccess: () => setReason("") })
          }
        >
          <p>
            {live === 0
              ? "Nothing is shared now."
              : `${plural(live, "verdict is", "verdicts are")} taken back from every node.`}{" "}
            Nothing is shared until somebody says so. What each node judges by itself is not changed.
          </p>
          <Reason value={reason} onChange={setReason} />
        </Confirm>
      )}
    </div>
  );
}

export function SharingState({ status }: { status: ImmunityStatus }) {
  const standing = standingOf(status);
  switch (standing.kind) {
    case "stopped":
      return (
        <p
          role="status"
          className="mb-6 border-l-4 border-danger-fill bg-danger-wash px-4 py-2"
          data-sharing="stopped"
        >
          <strong className="text-danger">Sharing is stopped.</strong> By {standing.by},{" "}
          <Ago at={standing.at} />: <Foreign>{standing.reason}</Foreign>
        </p>
      );
    case "no-key":
      return (
        <Off title="Nothing is shared: this control plane has no online key.">
          <Command>picket immunity key --out sharing.pem</Command>
          <p>
            Its text is the control plane's <code>PICKET_SHARING_KEY</code>. Then sign a rule version that
            lets it share:
          </p>
          <Command>picket rules sign shop.yaml --version 2 --delegate sharing.pub.pem</Command>
        </Off>
      );
    case "no-leave":
      return (
        <Off title="Nothing is shared: no rule version lets the online key share verdicts.">
          <p>
            The key is <code>{standing.keyid.slice(0, 16)}</code>. A release key gives leave, in a rule
            version that is then rolled out:
          </p>
          <Command>picket rules sign shop.yaml --version 2 --delegate sharing.pub.pem</Command>
        </Off>
      );
    case "on":
      return null;
  }
}

function Off({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="mb-6 max-w-[72ch] border-l-4 border-warning bg-warning-wash px-4 py-3" data-sharing="off">
      <p className="font-semibold">{title}</p>
      <div className="mt-1 flex flex-col gap-2 text-soft">{children}</div>
    </div>
  );
}

export function Leave({ status: { delegations } }: { status: ImmunityStatus }) {
  if (delegations.length === 0) return null;
  return (
    <Section
      title="By whose leave"
      note="Bounds that a release key has signed. The control plane keeps to them, and each node does, too."
    >
      <Scroll label="Rule versions that let the key share">
        <table className="table-log">
          <thead>
            <tr>
              <th>Rule version</th>
              <th className="number">In force at once</th>
              <th className="number">First judged by one node</th>
              <th className="number">In an hour</th>
              <th className="number">Each holds</th>
              <th className="number">Leave ends</th>
            </tr>
          </thead>
          <tbody>
            {delegations.map(({ ruleSet, version, delegation: { caps, expiresAt } }) => (
              <tr key={`${ruleSet}@${version}`}>
                <td className="whitespace-nowrap">
                  {ruleSet} <span className="font-semibold">v{version}</span>
                </td>
                <td className="number">{count(caps.inForce)}</td>
                <td className="number">{count(caps.inForcePerNode)}</td>
                <td className="number">{count(caps.perHour)}</td>
                <td className="number">{caps.ttl}</td>
                <td className="number">
                  <Ago at={expiresAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}
