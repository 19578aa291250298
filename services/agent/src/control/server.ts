/**
 * HTTP on the root-only UNIX socket. What answers is loaded with the first request: an agent that nobody asks keeps
 * its memory. A socket file that a killed agent left is taken over; one that answers is not.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import type { Handler } from "./routes.ts";

const BODY_BYTES_MAX = 256 << 10;

export async function openControlSocket(input: {
  path: string;
  load: () => Promise<Handler>;
}): Promise<Server> {
  const { path, load } = input;
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  let handler: Promise<Handler> | undefined;
  const loadOnce = () => {
    handler ??= load();
    return handler;
  };
  if (await answers(path))
    throw new Error(`another agent answers on ${path}; give this one its own PICKET_SOCKET`);
  rmSync(path, { force: true });
  const server = createServer((request, response) => {
    serve(request, response, loadOnce).catch(error => {
      if (!response.headersSent) response.writeHead(500, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ title: (error as Error).message, status: 500, code: "internal" }));
    });
  });
  // Long polls are answered by the route itself.
  server.requestTimeout = 0;
  const before = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o600);
  return server;
}

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  load: () => Promise<Handler>,
): Promise<void> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) {
      outgoing.writeHead(413, { "content-type": "application/problem+json", connection: "close" });
      outgoing.end(
        JSON.stringify({
          title: `a request is at most ${BODY_BYTES_MAX} bytes`,
          status: 413,
          code: "too-large",
        }),
      );
      return;
    }
    chunks.push(chunk);
  }
  const abort = new AbortController();
  outgoing.on("close", () => abort.abort());
  const handler = await load();
  const answer = await handler({
    method: incoming.method ?? "GET",
    path: incoming.url ?? "/",
    body: Buffer.concat(chunks).toString("utf8"),
    signal: abort.signal,
  });
  outgoing.writeHead(answer.status, { "content-type": answer.contentType });
  outgoing.end(answer.body);
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
