import { callAgent } from "@picket/infra/start/control-socket";
import type { LocalDetections } from "@picket/shared/control-socket";
import type { StatementDetection } from "@picket/shared/detection";
import { ATTACKS, type Attack, type Attempt, attempt, type Shop } from "../attack.ts";
import type { StoreName } from "../stores.ts";

// A round of attacks, with what Picket said of each: the detection that names the same worker process.

export type Attempted = { attack: Attack; database: StoreName };
export type Judged = Attempt & { attack: Attack; detection: StatementDetection | undefined };

/** Every attack on both databases. */
export const ALL: Attempted[] = ATTACKS.flatMap(attack => [
  { attack, database: "mariadb" as const },
  { attack, database: "postgresql" as const },
]);

export async function attackRound(options: {
  shop: Shop;
  socket: string;
  attempts?: Attempted[];
}): Promise<Judged[]> {
  const { shop, socket, attempts = ALL } = options;
  const judged: Judged[] = [];
  for (const { attack, database } of attempts) {
    const { last } = await localDetections(socket, { after: Number.MAX_SAFE_INTEGER });
    const made = await attempt(shop, attack, database);
    judged.push({ ...made, attack, detection: await detectionOf({ socket, after: last, made }) });
  }
  return judged;
}

export const isPrevented = ({ detection }: Judged): boolean => detection?.guarantee === "prevented";

/** A detection comes a moment after its statement: the first ones when the parser has been loaded, about a second. */
async function detectionOf(options: {
  socket: string;
  after: number;
  made: Attempt;
}): Promise<StatementDetection | undefined> {
  const { socket, after, made } = options;
  const dialect = made.database === "mariadb" ? "mysql" : "pg";
  for (let tries = 1; tries <= 50; tries++) {
    const { items } = await localDetections(socket, { after });
    const statements = items.flatMap(({ detection }) => (detection.kind === "statement" ? [detection] : []));
    const found = statements.find(
      ({ process, dialect: spoken, verdict }) =>
        process.pid === made.worker && spoken === dialect && verdict !== "benign",
    );
    if (found !== undefined) return found;
    await new Promise(resolve => setTimeout(resolve, 100));
  }
  return undefined;
}

async function localDetections(socket: string, { after }: { after: number }): Promise<LocalDetections> {
  return callAgent(socket, "GET", `/v1/detections?after=${after}&wait=0`);
}

export function describeJudged(one: Judged): string {
  const { name, database, outcome, detection } = one;
  const said =
    detection === undefined
      ? "unnoticed"
      : `${isPrevented(one) ? "blocked" : detection.guarantee}${detection.version === undefined ? "" : ` by version ${detection.version}`}`;
  const what = `${name} on ${database === "mariadb" ? "MariaDB" : "PostgreSQL"}`.padEnd(37);
  switch (outcome.kind) {
    case "succeeded":
      return `  ${what} ${said}; the attacker got ${outcome.got}`;
    case "refused":
      return `  ${what} ${said}; the application saw: ${outcome.error} (${outcome.code})`;
    case "nothing":
      return `  ${what} ${said}; the attacker got nothing (${outcome.because})`;
  }
}

export type Tally = { prevented: number; succeeded: number; versions: Map<number, number> };

export function tally(round: Judged[]): Tally {
  const versions = new Map<number, number>();
  for (const { detection } of round) {
    if (detection?.version !== undefined)
      versions.set(detection.version, (versions.get(detection.version) ?? 0) + 1);
  }
  return {
    // As the application felt it: repeats on one process within moments are folded into one detection.
    prevented: round.filter(({ outcome }) => outcome.kind === "refused" && /^Picket/.test(outcome.error))
      .length,
    succeeded: round.filter(({ outcome }) => outcome.kind === "succeeded").length,
    versions,
  };
}
