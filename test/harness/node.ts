/** A node of the fleet on this host: an enrolled agent with a cgroup of its own, which it guards. */
import { type Agent, type AgentOptions, forget, startAgent } from "./agent.ts";
import type { ControlPlane } from "./control-plane.ts";
import { type Cgroup, makeCgroup } from "./index.ts";

export type Node = {
  readonly cgroup: Cgroup;
  readonly agent: Agent;
  /** After it was stopped or killed: the same node, from what it kept on disk. */
  startAgain(): Promise<void>;
  remove(): Promise<void>;
};

export async function startNode(input: {
  controlPlane: ControlPlane;
  joinToken: string;
  /** Unlike any other's in this process. */
  hostname: string;
  env?: Record<string, string>;
}): Promise<Node> {
  const { controlPlane, joinToken, hostname, env } = input;
  const cgroup = makeCgroup(`picket-test-${hostname}-${process.pid}`);
  const options: AgentOptions = {
    cgroup: cgroup.path,
    instance: `test-${hostname}-${process.pid}`,
    env: {
      PICKET_URL: controlPlane.url,
      PICKET_JOIN_TOKEN: joinToken,
      PICKET_HOSTNAME: hostname,
      ...env,
    },
  };
  let agent = await startAgent(options);
  await agent.guard(cgroup.path);
  return {
    cgroup,
    get agent() {
      return agent;
    },
    async startAgain() {
      agent = await startAgent({ ...options, state: agent.state });
    },
    async remove() {
      await agent.stop();
      await cgroup.remove();
      forget(agent);
    },
  };
}
