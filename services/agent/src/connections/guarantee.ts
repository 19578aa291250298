/** What is true for a connection, and why, in words for whoever runs the database. Never claims more than holds. */
import type { Dialect, Guarantee, WorkloadMode } from "@picket/shared/vocabulary";

/** Why the statements of an enrolled connection are not judged (enum picket_notice). */
export type Notice =
  | "none"
  | "not-a-database"
  | "encrypted"
  | "compressed"
  | "replication"
  | "cancel"
  | "framing-lost";

export type Standing = {
  dialect: Dialect | null;
  notice: Notice;
  enrolled: boolean;
  adopted: boolean;
  mode: WorkloadMode;
  statements: number;
  /** Whether a rule version is loaded at all. */
  judged: boolean;
};

export function guaranteeOf(connection: Standing): { guarantee: Guarantee; why: string } {
  if (connection.mode === "off") return unseen("its workload is switched off");
  if (!connection.enrolled)
    return unseen(
      "the kernel refused to watch its socket: another program owns it (Cilium, Envoy), it carries kTLS or MPTCP, or the table is full",
    );
  switch (connection.notice) {
    case "encrypted":
      return unseen("it is encrypted with TLS: the kernel sees only ciphertext");
    case "compressed":
      return unseen("it uses the compressed protocol: statements cannot be read");
    case "replication":
      return unseen("it is a replication stream, which Picket never touches");
    case "cancel":
      return unseen("it carries only a cancel request, which Picket never touches");
    case "framing-lost":
      return unseen("the boundaries between its messages were lost, so its statements cannot be told apart");
    case "not-a-database":
      return unseen("its first bytes are of no database protocol");
    case "none":
      break;
  }
  if (!connection.judged)
    return { guarantee: "observed", why: "no rules are loaded: statements pass unjudged" };
  if (connection.mode === "observe")
    return { guarantee: "observed", why: "its workload is only observed; `picket guard` turns blocking on" };
  if (connection.adopted && connection.statements === 0)
    return {
      guarantee: "observed",
      why: "it was open before the agent; judged from its next whole statement",
    };
  return {
    guarantee: "prevented",
    why: "known-bad statements are replaced before they leave; an unknown shape passes once and is judged",
  };
}

const unseen = (why: string): { guarantee: Guarantee; why: string } => ({ guarantee: "unseen", why });
