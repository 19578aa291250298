/** A pair of connected TCP sockets on the loopback, for tests of the kernel by the agent itself. */
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { listTcpSockets } from "@picket/native/bpf";

export type Pair = { client: Socket; server: Socket; clientFd: number; cookie: bigint; close(): void };

export async function openPair(): Promise<Pair> {
  // Not read until somebody listens: what waits must stay waiting.
  const listener = createServer({ pauseOnConnect: true });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as { port: number };
  const accepted = once(listener, "connection") as Promise<[Socket]>;
  const client = connect({ port, host: "127.0.0.1", noDelay: true });
  client.pause();
  await once(client, "connect");
  const [server] = await accepted;
  listener.close();
  for (const socket of [client, server]) socket.on("error", () => {});
  const found = listTcpSockets({ states: ["ESTABLISHED"] }).find(
    each => each.localPort === client.localPort && each.remotePort === port,
  );
  const clientFd = (client as unknown as { _handle?: { fd: number } })._handle?.fd ?? -1;
  if (!found || clientFd < 0) {
    client.destroy();
    server.destroy();
    throw new Error("the loopback connection is not among this host's sockets");
  }
  return {
    client,
    server,
    clientFd,
    cookie: found.cookie,
    close() {
      client.destroy();
      server.destroy();
    },
  };
}
