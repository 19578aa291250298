/**
 * A small server that speaks the routes of GitHub's issues which the adapter uses. As on GitHub, the search index
 * may lag behind, creating twice makes two, and a call can fail after it has taken effect.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Issue {
  number: number;
  title: string;
  body: string;
  state: "open" | "closed";
  labels: string[];
  comments: string[];
}

export async function startGitHub(repo: string) {
  const issues: Issue[] = [];
  const unknown: string[] = [];
  const faults = {
    searchLags: false,
    failNext: [] as ((method: string, path: string) => "before" | "after" | null)[],
  };

  const shown = (issue: Issue) => ({
    number: issue.number,
    html_url: `https://github.example/${repo}/issues/${issue.number}`,
    state: issue.state,
    title: issue.title,
    body: issue.body,
  });

  function answer(method: string, url: URL, body: Record<string, unknown>): [number, unknown] {
    const { pathname, searchParams } = url;
    const one = /^\/repos\/([^/]+\/[^/]+)\/issues\/(\d+)(\/comments)?$/.exec(pathname);
    if (method === "GET" && pathname === "/search/issues") {
      const marker = /"([^"]+)"/.exec(searchParams.get("q") ?? "")?.[1] ?? "";
      const items = faults.searchLags ? [] : issues.filter(issue => issue.body.includes(marker));
      return [200, { total_count: items.length, items: items.map(shown) }];
    }
    if (pathname === `/repos/${repo}/issues`) {
      if (method === "GET") {
        const label = searchParams.get("labels") ?? "";
        return [
          200,
          issues
            .filter(({ labels }) => labels.includes(label))
            .toReversed()
            .slice(0, 100)
            .map(shown),
        ];
      }
      const issue: Issue = {
        number: issues.length + 1,
        title: String(body.title),
        body: String(body.body),
        state: "open",
        labels: body.labels as string[],
        comments: [],
      };
      issues.push(issue);
      return [201, shown(issue)];
    }
    const issue = one && one[1] === repo ? issues.find(({ number }) => number === Number(one[2])) : undefined;
    if (!issue) return [404, { message: "Not Found" }];
    if (method === "PATCH") {
      issue.state = body.state as Issue["state"];
      return [200, shown(issue)];
    }
    issue.comments.push(String(body.body));
    return [201, { id: 1 }];
  }

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", chunk => chunks.push(chunk));
    request.on("end", () => {
      const reply = (status: number, value: unknown) =>
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
      if (request.headers.authorization !== "Bearer ghp_test")
        return reply(401, { message: "Bad credentials" });
      const url = new URL(request.url!, "http://github");
      const method = request.method!;
      const fault = faults.failNext[0]?.(method, url.pathname) ?? null;
      if (fault !== null) faults.failNext.shift();
      if (fault === "before") return reply(502, { message: "Bad gateway" });
      const text = Buffer.concat(chunks).toString("utf8");
      const [status, value] = answer(method, url, text === "" ? {} : JSON.parse(text));
      if (status === 404) unknown.push(`${method} ${request.url}`);
      if (fault === "after") return void request.socket.destroy();
      return reply(status, value);
    });
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  return {
    issues,
    unknown,
    faults,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
