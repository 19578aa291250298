import { createHash } from "node:crypto";
import { chmodSync, chownSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { type Account, InfraError } from "../process.ts";

// sun_path holds 107 bytes and the file name comes on top, so a deep checkout gets its socket
// directory under the temporary one, with a name that stays the same from start to start.

const PATH_BYTES_MAX = 85;

/** A directory that only the server's account (and root) can enter. */
export function socketDirectory({ dir, account }: { dir: string; account: Account }): string {
  const beside = join(dir, "socket");
  const path =
    Buffer.byteLength(beside) <= PATH_BYTES_MAX
      ? beside
      : join(tmpdir(), `picket-${createHash("sha256").update(dir).digest("hex").slice(0, 16)}`);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const stat = lstatSync(path);
  if (!stat.isDirectory() || ![account.uid, userInfo().uid].includes(stat.uid)) {
    throw new InfraError("socket-dir-not-ours", `${path} is not a directory of ours: remove it`);
  }
  chmodSync(path, 0o700);
  if (account.uid !== stat.uid) chownSync(path, account.uid, account.gid);
  return path;
}
