import type { Installed } from "@picket/shared/contract";
import { Tag } from "../../ui/badges.tsx";
import { runningVersions } from "./fleet.ts";

/** What really runs, as the node says; a share below all is of the processes inside the node. */
export function Versions({ installed }: { installed: readonly Installed[] }) {
  const running = runningVersions(installed);
  if (running.length === 0) return <span className="text-faint">no rules yet</span>;
  return (
    <ul className="flex flex-col gap-0.5">
      {running.map(({ ruleSet, versions, twin, refused }) => (
        <li key={ruleSet} className="flex flex-wrap items-baseline gap-x-2">
          <span>{ruleSet}</span>
          {versions.map(({ version, share }) => (
            <span key={version} className="whitespace-nowrap">
              <span className="font-semibold">v{version}</span>
              {share < 10_000 && <span className="text-xs text-faint"> {share / 100} % of processes</span>}
            </span>
          ))}
          {versions.length === 0 && <span className="text-faint">nothing enforced</span>}
          {twin !== null && (
            <Tag tone="busy" title="It judges beside what enforces, and enforces nothing">
              twin v{twin}
            </Tag>
          )}
          {refused && (
            <Tag tone="danger" title={refused.because.detail}>
              refused v{refused.refused}: {refused.because.code}
            </Tag>
          )}
        </li>
      ))}
    </ul>
  );
}

export function LabelList({ labels }: { labels: Record<string, string> }) {
  const pairs = Object.entries(labels);
  if (pairs.length === 0) return null;
  return (
    <span className="flex flex-wrap gap-x-3 text-xs text-faint">
      {pairs.map(([key, value]) => (
        <span key={key}>
          {key}={value}
        </span>
      ))}
    </span>
  );
}
