import type { Rollout } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rollouts } from "../../api/queries.ts";
import { PageHead } from "../../ui/layout.tsx";
import { Asked, Command, Empty } from "../../ui/states.tsx";
import { Ago } from "../../ui/time.tsx";
import { count, plural } from "../../ui/words.ts";
import { Ladder } from "./ladder.tsx";
import { standing } from "./progress.ts";
import { StateTag } from "./state-tag.tsx";

export function RolloutList() {
  const query = useQuery(rollouts);
  const open = query.data?.items.filter(each => each.finishedAt === null).length ?? 0;
  return (
    <>
      <PageHead title="Rollouts">
        {query.data && query.data.items.length > 0 && (
          <p>{open === 0 ? "None is under way." : `${plural(open, "rollout")} under way.`}</p>
        )}
      </PageHead>
      <Asked query={query} what="rollouts">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No rollout yet.">
              <p>
                Rules reach nodes in steps, signed outside the control plane. Push a signed version, then
                start one:
              </p>
              <Command>picket rules push my-rules.bundle.json</Command>
              <Command>picket rollout start my-rules 1 --steps 20:10m,100:10m</Command>
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
      <Ladder rollout={rollout} small />
      <div className="text-sm">
        <p>
          <span className="font-semibold">{count(nodes.installed)}</span> of {plural(nodes.planned, "node")}{" "}
          installed it
          {nodes.refused > 0 && (
            <span className="font-semibold text-danger">, {count(nodes.refused)} refused it</span>
          )}
        </p>
        {rollout.lastDecision && (
          <p className="text-soft">
            {rollout.lastDecision.kind}: {rollout.lastDecision.because}
          </p>
        )}
      </div>
    </li>
  );
}
