/** Exchanges a join token for a node id: the key is made here, only its public half goes up. */
import type { Labels } from "@picket/shared/vocabulary";
import { AGENT_VERSION, type Config } from "../config.ts";
import { enrolWith, explain } from "./control-plane.ts";
import { type Enrolment, nodeKey, rawPublicKey, writeEnrolment } from "./identity.ts";

export class EnrolError extends Error {
  override name = "EnrolError";
  readonly retryable: boolean;
  constructor(message: string, retryable: boolean) {
    super(message);
    this.retryable = retryable;
  }
}

export async function enrol(input: {
  config: Pick<Config, "stateDirectory" | "hostname" | "kernel">;
  url: string;
  joinToken: string;
  labels: Labels;
}): Promise<Enrolment> {
  const { config, joinToken, labels } = input;
  const url = input.url.replace(/\/+$/, "");
  const answer = await enrolWith(url, {
    joinToken,
    publicKey: rawPublicKey(nodeKey(config.stateDirectory)),
    hostname: config.hostname,
    labels,
    kernel: config.kernel,
    agentVersion: AGENT_VERSION,
  });
  if (!answer.ok) throw new EnrolError(explain(answer.error), answer.error.kind === "away");
  const enrolment = {
    node: answer.value.node,
    url,
    releaseKeys: answer.value.releaseKeys,
    trust: answer.value.trust,
    formerKeys: [],
    labels,
  };
  writeEnrolment(config.stateDirectory, enrolment);
  return enrolment;
}
