/** The agent's control socket: HTTP over a UNIX socket that only root may open. */
import { request as httpRequest } from "node:http";
import { Problem } from "@picket/shared/contract";
import { CONTROL_SOCKET_DEFAULT } from "@picket/shared/control-socket";
import type { z } from "zod";
import { CliError, type ExitName, problemText } from "./errors.ts";

const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export type AgentClient = {
  socket: string;
  request<T extends z.ZodType>(request: {
    method?: "GET" | "POST" | "PUT" | "DELETE";
    path: string;
    body?: unknown;
    answer: T;
    timeoutMs?: number;
  }): Promise<z.infer<T>>;
};

export function createAgentClient(env: NodeJS.ProcessEnv, socketPath?: string): AgentClient {
  const socket = socketPath ?? (env.PICKET_SOCKET || CONTROL_SOCKET_DEFAULT);
  return {
    socket,
    async request({ method = "GET", path, body, answer, timeoutMs = 30_000 }) {
      const { status, text } = await exchange({ socket, method, path, body, timeoutMs });
      let value: unknown;
      try {
        value = text === "" ? undefined : JSON.parse(text);
      } catch {
        value = null;
      }
      if (status >= 400) {
        const problem = Problem.safeParse(value);
        throw new CliError(
          meaning(status),
          problem.success ? problem.data.code : `http-${status}`,
          problem.success ? problemText(problem.data) : `the agent answered ${status}`,
        );
      }
      const parsed = answer.safeParse(value);
      if (!parsed.success)
        throw new CliError(
          "failed",
          "unexpected-answer",
          `the agent answered ${path} in a form that this version of picket does not know (${parsed.error.issues[0]?.path.join(".")}: ${parsed.error.issues[0]?.message})`,
          "use the `picket` command of the agent's own version",
        );
      return parsed.data;
    },
  };
}

function meaning(status: number): ExitName {
  switch (status) {
    case 401:
    case 403:
      return "refused";
    case 404:
      return "not-found";
    case 409:
    case 429:
      return "conflict";
    case 502:
    case 503:
      return "unreachable";
    default:
      return "failed";
  }
}

function exchange({
  socket,
  method,
  path,
  body,
  timeoutMs,
}: {
  socket: string;
  method: string;
  path: string;
  body: unknown;
  timeoutMs: number;
}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const content = body === undefined ? undefined : JSON.stringify(body);
    const request = httpRequest(
      {
        socketPath: socket,
        method,
        path,
        timeout: timeoutMs,
        headers: {
          host: "agent",
          ...(content === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(content) }),
        },
      },
      response => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) request.destroy(new Error("the answer is too long"));
          else chunks.push(chunk);
        });
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
        );
        response.on("error", error => reject(unreachable(socket, error)));
      },
    );
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    request.on("error", error => reject(unreachable(socket, error)));
    request.end(content);
  });
}

function unreachable(socket: string, error: NodeJS.ErrnoException): CliError {
  if (error.code === "EACCES" || error.code === "EPERM")
    return new CliError(
      "refused",
      "not-root",
      `the agent's control socket ${socket} is root's alone`,
      "run the command as root (`sudo npx picket …`)",
    );
  const why = error.code === "ENOENT" ? "there is no such socket" : (error.code ?? error.message);
  return new CliError(
    "unreachable",
    "no-agent",
    `no agent answers at ${socket}: ${why}`,
    "start one (`picket up`, or `systemctl start picket-agent`), or say where its socket is (PICKET_SOCKET)",
  );
}
