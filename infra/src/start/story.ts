import type { Screen } from "../../bootstrap/screen.mjs";
import { InfraError } from "../process.ts";
import type { Service } from "../supervisor.ts";
import type { Api } from "./api.ts";
import type { Home } from "./home.ts";
import type { Picket } from "./picket.ts";

// What a start is about. The services of Picket are the same every time; a story says what comes before
// and after them and what is told once they run: the ordinary one, or the demo.

export type Scene = {
  screen: Screen;
  home: Home;
  /** The `picket` command, as the administrator of this start. */
  picket: Picket;
  api: Api;
  /** The agent's control socket; absent without root. */
  socket: string | undefined;
  signal: AbortSignal;
};

export type Story = {
  /** Added to the control plane's environment. */
  controlPlaneEnv: Record<string, string>;
  agent: { instance: string; cgroup: string; labels: string };
  /** Start before Picket, and stop after it. */
  before: Service[];
  /** Start when the control plane is ready and no agent has enrolled yet. */
  beforeAgent(scene: Scene): Promise<void>;
  after: Service[];
  /** Everything runs: the rest is to be told. Returns when there is nothing more to tell. */
  tell(scene: Scene): Promise<void>;
};

/** Polls until there is a value. Aborted by Ctrl-C; the bound ends a wait that would last for ever. */
export async function until<T>(
  poll: () => Promise<T | undefined> | T | undefined,
  { signal, timeoutMs, what }: { signal: AbortSignal; timeoutMs: number; what: string },
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const value = await poll();
    if (value !== undefined) return value;
    if (performance.now() > deadline)
      throw new InfraError("too-late", `${what}: not within ${timeoutMs / 1000} s`);
    await new Promise(resolve => setTimeout(resolve, 200));
  }
}
