/** The console's build, served as files under a strict content security policy; other paths get its page. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "hono";

/** Beside src/ as beside dist/. */
export const CONSOLE_DIRECTORY = fileURLToPath(new URL("../../console/dist", import.meta.url));

const SECURITY = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
};

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

interface File {
  bytes: Buffer;
  type: string;
  etag: string;
}

const ABSENT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Picket</title>
<h1>The console is not built</h1>
<p>Build it with <code>npx turbo run build --filter=@picket/console</code> and start the control plane again.
The API answers under <code>/v1</code>; its description is at <a href="/openapi.json">/openapi.json</a>.</p></html>`;

/** Read once: the build does not change under a running process, and no path of a request meets the disk. */
export function loadConsole(directory: string): Map<string, File> {
  if (!existsSync(join(directory, "index.html"))) return new Map();
  const names = readdirSync(directory, { recursive: true, withFileTypes: true }).filter(entry =>
    entry.isFile(),
  );
  return new Map(
    names.map(entry => {
      const path = join(entry.parentPath, entry.name);
      const bytes = readFileSync(path);
      const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
      const type = TYPES[extname(path)] ?? "application/octet-stream";
      return [`/${relative(directory, path)}`, { bytes, type, etag }];
    }),
  );
}

export function serveConsole(files: ReadonlyMap<string, File>): (c: Context) => Response {
  return c => {
    const asset = files.get(c.req.path);
    const file = asset ?? files.get("/index.html");
    if (!file) return c.html(ABSENT, 503, SECURITY);
    const hashed = asset !== undefined && c.req.path.startsWith("/assets/");
    const headers = {
      ...SECURITY,
      "content-type": file.type,
      etag: file.etag,
      "cache-control": hashed ? "public, max-age=31536000, immutable" : "no-cache",
    };
    if (c.req.header("if-none-match") === file.etag) return c.body(null, 304, headers);
    return c.body(new Uint8Array(file.bytes), 200, headers);
  };
}
