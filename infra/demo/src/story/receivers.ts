import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

// Two stand-ins on loopback for what lies outside of Picket: somebody's webhook, which checks the
// signature as any receiver should, and the part of GitHub's REST API that tickets need.

export type Received = { type: string; priority: string; title: string; signed: boolean; at: number };

export type WebhookReceiver = {
  url: string;
  expect(secret: string): void;
  received: Received[];
  stop(): Promise<void>;
};

export async function startWebhookReceiver(): Promise<WebhookReceiver> {
  const received: Received[] = [];
  let key: Buffer | undefined;
  const { server, url } = await serve(async (request, response) => {
    const body = await text(request);
    const { type, data } = JSON.parse(body) as { type: string; data: { priority: string; title: string } };
    const signed = key !== undefined && isSigned({ key, body, headers: request.headers });
    received.push({ type, priority: data.priority, title: data.title, signed, at: Date.now() });
    response.writeHead(signed ? 204 : 401).end();
  });
  return {
    url: `${url}/hook`,
    received,
    expect: secret => {
      key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    },
    stop: () => close(server),
  };
}

/** Standard Webhooks, "Signature scheme": HMAC-SHA256 over id.timestamp.body, several signatures allowed. */
export function isSigned({
  key,
  body,
  headers,
}: {
  key: Buffer;
  body: string;
  headers: IncomingMessage["headers"];
}): boolean {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  const wanted = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest();
  return String(signatures ?? "")
    .split(" ")
    .filter(signature => signature.startsWith("v1,"))
    .map(signature => Buffer.from(signature.slice(3), "base64"))
    .some(given => given.length === wanted.length && timingSafeEqual(given, wanted));
}

export type Issue = {
  number: number;
  title: string;
  body: string;
  state: "open" | "closed";
  html_url: string;
  comments: number;
};

export type Tracker = { url: string; issues: Issue[]; stop(): Promise<void> };

export async function startTracker(): Promise<Tracker> {
  const issues: Issue[] = [];
  const { server, url } = await serve(async (request, response) => {
    const json = (status: number, value: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    const { pathname, searchParams } = new URL(request.url ?? "/", url);
    const body =
      request.method === "GET" ? {} : (JSON.parse((await text(request)) || "{}") as Partial<Issue>);
    const [, number, rest] = /\/issues(?:\/(\d+))?(\/comments)?$/.exec(pathname) ?? [];
    const issue = issues.find(one => one.number === Number(number));
    if (number !== undefined && issue === undefined) return json(404, { message: "Not Found" });
    if (issue !== undefined && rest !== undefined) {
      issue.comments++;
      return json(201, { id: issue.comments });
    }
    if (issue !== undefined) return json(200, Object.assign(issue, request.method === "PATCH" ? body : {}));
    if (request.method === "POST") {
      const next = issues.length + 1;
      const { title = "", body: description = "" } = body;
      const made: Issue = {
        number: next,
        title,
        body: description,
        state: "open",
        html_url: `${url}/issues/${next}`,
        comments: 0,
      };
      issues.push(made);
      return json(201, made);
    }
    // A search names the hidden marker in quotes; a list asks for all.
    const wanted = /"([^"]+)"/.exec(searchParams.get("q") ?? "")?.[1];
    const found = issues.filter(one => wanted === undefined || one.body.includes(wanted));
    return json(
      200,
      pathname.startsWith("/search")
        ? { total_count: found.length, incomplete_results: false, items: found }
        : found,
    );
  });
  return { url, issues, stop: () => close(server) };
}

async function serve(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    handle(request, response).catch((error: Error) => response.writeHead(400).end(error.message));
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { server, url: `http://127.0.0.1:${port}` };
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise(resolve => server.close(() => resolve()));
}
