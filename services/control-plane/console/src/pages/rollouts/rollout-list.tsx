import type { Rollout } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rollouts } from "../../api/queries.ts";
import { Command } from "../../ui/command.tsx";
import { PageHead } from "../../ui/layout.tsx";
import { firstLine } from "../../ui/long-text.tsx";
import { Asked, Empty } from "../../ui/states.tsx";
import { Foreign } from "../../ui/text.tsx";
import { Ago } from "../../ui/time.tsx";
import { plural } from "../../ui/words.ts";
import { EmergencyStop, Frozen } from "./holds.tsx";
import { SmallLadder } from "./ladder.tsx";
import { nodesStanding, standing } from "./progress.ts";
import { StateTag } from "./state-tag.tsx";

export function RolloutList() {
  const query = useQuery(rollouts);
  const open = query.data?.items.filter(each => each.finishedAt === null).length ?? 0;
  return (
    <>
      <PageHead title="Rollouts" aside={<EmergencyStop />}>
        {query.data && query.data.items.length > 0 && (
          <p>{open === 0 ? "None is under way." : `${plural(open, "rollout")} under way.`}</p>
        )}
      </PageHead>
      <Frozen />
      <Asked query={query} what="rollouts">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No rollout yet.">
              <p>
                Rules reach nodes in steps, signed outside the control plane. Push a signed version, then
                start one:
              </p>
              <Command>picket rules push shop-1.bundle.json</Command>
              <Command>picket rollout start shop@1 --steps 20%:10m,100%:10m --watch</Command>
            </Empty>
          ) : (
            <ul className="border-t-2 border-ink">
              {items.map(each => (
                <RolloutRow key={each.id} rollout={each} />
              ))}
            </ul>
          )
        }
      </Asked>
    </>
  );
}

export function RolloutRow({ rollout }: { rollout: Rollout }) {
  const { nodes } = rollout;
  return (
    <li className="grid gap-x-8 gap-y-3 border-b border-line py-3 md:grid-cols-[minmax(0,3fr)_minmax(0,2fr)_minmax(0,2fr)]">
      <div className="min-w-0">
        <p className="flex flex-wrap items-baseline gap-x-2">
          <Link to="/rollouts/$id" params={{ id: rollout.id }} className="font-semibold">
            {rollout.ruleSet} v{rollout.version}
          </Link>
          <StateTag state={rollout.state} />
        </p>
        <p className="text-sm text-soft">{standing(rollout)}</p>
        <p className="text-xs text-faint">
          by {rollout.createdBy}, <Ago at={rollout.createdAt} />
        </p>
      </div>
      <SmallLadder rollout={rollout} />
      <div className="min-w-0 text-sm">
        {nodes === null ? (
          <p className="text-faint">A later rollout took its nodes.</p>
        ) : (
          <>
            <p>{nodesStanding(rollout, nodes)}</p>
            {nodes.refused > 0 && (
              <p className="font-semibold text-danger">{plural(nodes.refused, "node")} refused it</p>
            )}
          </>
        )}
        {rollout.lastDecision && (
          <p className="line-clamp-3 text-soft [overflow-wrap:anywhere]">
            {rollout.lastDecision.kind.replace("-", " ")}:{" "}
            <Foreign>{firstLine(rollout.lastDecision.because)}</Foreign>
          </p>
        )}
      </div>
    </li>
  );
}
