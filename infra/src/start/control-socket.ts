import { mkdirSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { CONTROL_SOCKET_DEFAULT } from "@picket/shared/control-socket";
import { InfraError } from "../process.ts";

/** HTTP over the agent's socket. */
export function callAgent<T>(socketPath: string, method: string, path: string, body?: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const call = request({ socketPath, method, path, headers, timeout: 20_000 }, async response => {
      let text = "";
      for await (const chunk of response) text += chunk;
      const status = response.statusCode ?? 0;
      if (status >= 400)
        reject(new InfraError(`http-${status}`, `${method} ${path} answered ${status}: ${text}`));
      else resolve((text === "" ? undefined : JSON.parse(text)) as T);
    });
    call.on("timeout", () =>
      call.destroy(new InfraError("agent-silent", "The agent does not answer on its control socket")),
    );
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Where the `picket` command looks first, unless another agent already answers there. */
export async function chooseSocket(name: string): Promise<string> {
  const path = (await somebodyListens(CONTROL_SOCKET_DEFAULT))
    ? join(dirname(CONTROL_SOCKET_DEFAULT), `${name}.sock`)
    : CONTROL_SOCKET_DEFAULT;
  if (process.getuid?.() === 0) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  return path;
}

function somebodyListens(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
