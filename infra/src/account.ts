import { readFileSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname } from "node:path";
import { type Account, InfraError } from "./process.ts";

// Database servers refuse to run as root, so under root they get an account without privileges.

const PREFERRED = ["picket", "postgres", "nobody"];

/** The owner of the data that is already there, else the first account of the list that exists. */
export function serverAccount({
  data,
  preferred = PREFERRED,
}: {
  data: string;
  preferred?: string[];
}): Account {
  const own = userInfo();
  if (own.uid !== 0) return { name: own.username, uid: own.uid, gid: own.gid };
  const accounts = readAccounts();
  const owner = statSync(data, { throwIfNoEntry: false })?.uid;
  if (owner !== undefined && owner !== 0) {
    const known = accounts.find(account => account.uid === owner);
    if (known !== undefined) return known;
    throw new InfraError(
      "owner-unknown",
      `${data} belongs to uid ${owner}, which has no account on this host`,
    );
  }
  for (const name of preferred) {
    const account = accounts.find(candidate => candidate.name === name);
    if (account !== undefined) return account;
  }
  throw new InfraError("no-account", `None of these accounts exists on this host: ${preferred.join(", ")}`);
}

function readAccounts(): Account[] {
  return readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map(line => line.split(":"))
    .filter(fields => fields.length >= 4)
    .map(([name, , uid, gid]) => ({ name: name!, uid: Number(uid), gid: Number(gid) }));
}

/** The first directory above `path` that others may not enter, or undefined: an unprivileged server
 *  cannot reach a checkout under a private home directory. */
export function firstClosedParent(path: string): string | undefined {
  const parents: string[] = [];
  for (let parent = dirname(path); parent !== dirname(parent); parent = dirname(parent))
    parents.unshift(parent);
  return parents.find(parent => {
    const stat = statSync(parent, { throwIfNoEntry: false });
    return stat !== undefined && (stat.mode & 0o001) === 0;
  });
}

export function assertReachable(path: string, account: Account): void {
  const closed = account.uid === userInfo().uid ? undefined : firstClosedParent(path);
  if (closed === undefined) return;
  throw new InfraError(
    "unreachable",
    `${account.name}, as whom the server runs, may not enter ${closed}. Set PICKET_HOME to a directory whose parents are open (for example /var/lib/picket).`,
  );
}
