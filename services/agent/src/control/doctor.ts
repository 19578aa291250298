/** What this kernel and host can do, and what each database connection on it has, in plain words. */
import type { ConnectionState, Report } from "@picket/shared/contract";
import type { Doctor, DoctorCheck } from "@picket/shared/control-socket";
import type { SocketCheck } from "../capture/socket-check.ts";
import { otherNetworkNamespaces } from "../host/processes.ts";
import { hostChecks } from "../host/requirements.ts";

export function diagnose(input: {
  kernel: string;
  sockets: SocketCheck;
  enrolled: { kept: number; plain: number };
  held: Report["held"] | null;
  states: ConnectionState[];
}): Doctor {
  return {
    kernel: input.kernel,
    checks: [
      ...hostChecks(input.kernel),
      ...socketChecks(input.sockets, input.enrolled),
      heldCheck(input.held),
      namespaceCheck(),
    ],
    connections: input.states,
  };
}

export function socketChecks(
  { fionread, wakes, unreadSurvives }: SocketCheck,
  enrolled: { kept: number; plain: number },
): DoctorCheck[] {
  return [
    {
      name: "applications see waiting bytes (FIONREAD)",
      ...(
        {
          right: { state: "ok", detail: "also on watched sockets" },
          repaired: {
            state: "ok",
            detail: `this kernel hides them on watched sockets; a no-op program on the socket map repairs it (${enrolled.kept} open connections), except for workloads that were said never to ask (${enrolled.plain})`,
          },
          wrong: {
            state: "missing",
            detail:
              "this kernel hides them on watched sockets and cannot be repaired: connections are left alone",
          },
        } as const
      )[fionread],
    },
    {
      name: "sleeping readers are woken",
      ...(wakes
        ? { state: "ok", detail: "epoll on a watched socket" }
        : {
            state: "missing",
            detail: "a reader of a watched socket was not woken: connections are left alone",
          }),
    },
    {
      name: "unread responses when the agent stops",
      ...(unreadSurvives
        ? { state: "ok", detail: "survive the socket's release" }
        : {
            state: "ok",
            detail:
              "would be lost if a watched socket were released, so its map stays pinned until it closes",
          }),
    },
  ];
}

function heldCheck(held: Report["held"] | null): DoctorCheck {
  const name = "first uses wait for their judgement";
  if (!held)
    return {
      name,
      state: "degraded",
      detail: "no keeper runs: what nobody has judged passes once, or is refused",
    };
  const { restarts, substituted, killed, timedOut } = held;
  const stopped = substituted + killed;
  const again = restarts === 0 ? "" : `; it had to be started again ${restarts} times`;
  return {
    name,
    state: restarts === 0 ? "ok" : "degraded",
    detail: `the keeper runs: ${held.held} held, ${stopped} stopped, ${timedOut} too late${again}`,
  };
}

/** The walk that adopts connections sees the agent's own network namespace; the hooks see all of them. */
function namespaceCheck(): DoctorCheck {
  const others = otherNetworkNamespaces();
  const name = "connections opened before the agent";
  return others === 0
    ? { name, state: "ok", detail: "all processes share the agent's network namespace" }
    : {
        name,
        state: "degraded",
        detail: `${others} other network namespaces (containers): connections that were open there before the agent started are not adopted; new ones are seen`,
      };
}
