/** What people change from the page, and who may. The server decides; this only keeps a button from promising
 * what it would refuse. */
import type { Me, Role, Rollout } from "@picket/shared/api";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { change } from "./http.ts";
import { me } from "./queries.ts";

export type RolloutVerb = "pause" | "resume" | "promote" | "approve" | "abort" | "rollback";

/** The verbs that mean something in a state; to approve is one only where somebody is asked. */
export function verbsOf({ state, asks }: Pick<Rollout, "state" | "asks">): RolloutVerb[] {
  const approve: RolloutVerb[] = asks ? ["approve"] : [];
  switch (state) {
    case "scheduled":
      return [...approve, "abort"];
    case "running":
      return [...approve, "pause", "promote", "abort", "rollback"];
    case "paused":
      return ["resume", "abort", "rollback"];
    case "complete":
    case "aborted":
      return ["rollback"];
    case "rolling-back":
      return ["abort"];
    case "rolled-back":
      return [];
  }
}

export function mayOperate(role: Role): boolean {
  switch (role) {
    case "operator":
    case "author":
    case "admin":
      return true;
    case "viewer":
    case "approver":
      return false;
  }
}

/** To stop, and to say yes to what another has started, is an approver's too. The control plane decides. */
export function mayChange(role: Role, verb: RolloutVerb): boolean {
  return mayOperate(role) || (role === "approver" && verb !== "resume");
}

/** What concerns every team's nodes is nothing for who is held to some. */
export function reachesFleet({ scope }: Me): boolean {
  return Object.keys(scope).length === 0;
}

export function useRolloutVerb(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (verb: RolloutVerb) => change("POST", `/v1/rollouts/${encodeURIComponent(id)}/${verb}`),
    onSettled: () => client.invalidateQueries({ queryKey: ["rollouts"] }),
  });
}

/** Stops every rollout of the fleet, or lets them go on. */
export function useEmergencyStop() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (ask: { reason: string; rollBack: boolean } | "release") =>
      ask === "release" ? change("DELETE", "/v1/emergency-stop") : change("POST", "/v1/emergency-stop", ask),
    onSettled: () =>
      Promise.all(["rollouts", "emergency-stop"].map(key => client.invalidateQueries({ queryKey: [key] }))),
  });
}

/** Takes everything shared back, or lets verdicts be shared again. */
export function useSharingStop() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (ask: { reason: string } | "release") =>
      ask === "release" ? change("DELETE", "/v1/immunity/stop") : change("POST", "/v1/immunity/stop", ask),
    onSettled: () => client.invalidateQueries({ queryKey: ["immunity"] }),
  });
}

export function useRevokeVerdict(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (reason: string) =>
      change("DELETE", `/v1/immunity/verdicts/${encodeURIComponent(id)}?${new URLSearchParams({ reason })}`),
    onSettled: () => client.invalidateQueries({ queryKey: ["immunity"] }),
  });
}

export function useAcknowledge() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => change("POST", `/v1/alerts/${encodeURIComponent(id)}/ack`),
    onSettled: () => client.invalidateQueries({ queryKey: ["alerts"] }),
  });
}

export function useRevokeToken() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => change("DELETE", `/v1/api-tokens/${encodeURIComponent(id)}`),
    // One's own token may be gone: then the next answer says so.
    onSettled: () => client.invalidateQueries({ queryKey: ["api-tokens"] }),
  });
}

export function useSignIn() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (token: string) => change("POST", "/v1/session", { token }),
    onSuccess: () => client.invalidateQueries({ queryKey: me.queryKey }),
  });
}

export function useSignOut() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: () => change("DELETE", "/v1/session"),
    onSuccess: async () => {
      // An answer that is still under way would sign in again. But the sign-in page may be there already, since another
      // call found the session ended, and be asking what it offers.
      await client.cancelQueries({ predicate: ({ queryKey: [name] }) => name !== "sso" });
      client.removeQueries({ predicate: ({ queryKey: [name] }) => name !== "me" && name !== "sso" });
      client.setQueryData<Me | null>(me.queryKey, null);
    },
  });
}
