/** What the pages ask, one entry per noun. Rows are the truth and are asked again on a timer; detections come
 * by stream (detections.ts). */
import {
  Alert,
  ApiToken,
  DecisionDetails,
  EmergencyStopState,
  Freeze,
  ImmunityStatus,
  Me,
  Node,
  NodeDetails,
  Policy,
  ProfileOfferDetails,
  ProfileOfferRow,
  Rollout,
  RolloutDetails,
  SharedVerdictDetails,
  SharedVerdictRow,
  ShippedPolicy,
  SignedProfileRow,
  SsoState,
} from "@picket/shared/api";
import { QueryCache, QueryClient, queryOptions } from "@tanstack/react-query";
import { get, isForbidden, isSignedOut, isUnreachable, list } from "./http.ts";

const REFRESH_MS = 5_000;
const FORBIDDEN_REFRESH_MS = 60_000;

export const queryClient: QueryClient = new QueryClient({
  // A session that ended shows the sign-in page in place, whichever call found out.
  queryCache: new QueryCache({
    onError: (error, query) => {
      if (isSignedOut(error) && query.queryKey[0] !== "me") queryClient.setQueryData(me.queryKey, null);
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      refetchInterval: ({ state }) => (isForbidden(state.error) ? FORBIDDEN_REFRESH_MS : REFRESH_MS),
      // The timer repairs; what was refused stays refused.
      retry: (failures, error) => failures < 1 && isUnreachable(error),
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

/** Null: nobody is signed in. */
export const me = queryOptions({
  queryKey: ["me"],
  queryFn: async ({ signal }): Promise<Me | null> => {
    try {
      return await get("/v1/me", Me, signal);
    } catch (error) {
      if (isSignedOut(error)) return null;
      throw error;
    }
  },
  refetchInterval: 60_000,
});

/** Asked before anybody has signed in. */
export const sso = queryOptions({
  queryKey: ["sso"],
  queryFn: ({ signal }) => get("/v1/sso", SsoState, signal),
  refetchInterval: false,
});

export const nodes = queryOptions({
  queryKey: ["nodes"],
  queryFn: ({ signal }) => list("/v1/nodes", Node, { signal }),
});

export const node = (id: string) =>
  queryOptions({
    queryKey: ["nodes", id],
    queryFn: ({ signal }) => get(`/v1/nodes/${encodeURIComponent(id)}`, NodeDetails, signal),
  });

export const rollouts = queryOptions({
  queryKey: ["rollouts"],
  queryFn: ({ signal }) => list("/v1/rollouts", Rollout, { signal, itemsMax: 200 }),
  refetchInterval: 2_000,
});

export const rollout = (id: string) =>
  queryOptions({
    queryKey: ["rollouts", id],
    queryFn: ({ signal }) => get(`/v1/rollouts/${encodeURIComponent(id)}`, RolloutDetails, signal),
    refetchInterval: 2_000,
  });

/** A decision does not change; what the gate says of its evidence now does with the control plane. */
export const decision = (rolloutId: string, id: number) =>
  queryOptions({
    queryKey: ["decisions", rolloutId, id],
    queryFn: ({ signal }) =>
      get(`/v1/rollouts/${encodeURIComponent(rolloutId)}/decisions/${id}`, DecisionDetails, signal),
    refetchInterval: false,
    staleTime: Number.POSITIVE_INFINITY,
  });

export const emergencyStop = queryOptions({
  queryKey: ["emergency-stop"],
  queryFn: ({ signal }) => get("/v1/emergency-stop", EmergencyStopState, signal),
});

export const freezes = queryOptions({
  queryKey: ["freezes"],
  queryFn: ({ signal }) => list("/v1/freezes", Freeze, { signal }),
  refetchInterval: 30_000,
});

export const alerts = queryOptions({
  queryKey: ["alerts"],
  queryFn: ({ signal }) => list("/v1/alerts", Alert, { signal, itemsMax: 1_000 }),
});

export const immunity = queryOptions({
  queryKey: ["immunity"],
  queryFn: ({ signal }) => get("/v1/immunity", ImmunityStatus, signal),
});

export const sharedVerdicts = queryOptions({
  queryKey: ["immunity", "verdicts"],
  queryFn: ({ signal }) => list("/v1/immunity/verdicts", SharedVerdictRow, { signal, itemsMax: 1_000 }),
});

export const sharedVerdict = (id: string) =>
  queryOptions({
    queryKey: ["immunity", "verdicts", id],
    queryFn: ({ signal }) =>
      get(`/v1/immunity/verdicts/${encodeURIComponent(id)}`, SharedVerdictDetails, signal),
  });

export const profileOffers = queryOptions({
  queryKey: ["profiles", "offers"],
  queryFn: ({ signal }) => list("/v1/profiles/offers", ProfileOfferRow, { signal }),
  refetchInterval: 15_000,
});

/** Megabytes at worst, and a person reads it for minutes: it stays as it was opened. */
export const profileOffer = (id: string) =>
  queryOptions({
    queryKey: ["profiles", "offers", id],
    queryFn: ({ signal }) =>
      get(`/v1/profiles/offers/${encodeURIComponent(id)}`, ProfileOfferDetails, signal),
    refetchInterval: false,
    staleTime: 60_000,
  });

export const signedProfiles = queryOptions({
  queryKey: ["profiles", "signed"],
  queryFn: ({ signal }) => list("/v1/profiles", SignedProfileRow, { signal }),
  refetchInterval: 15_000,
});

export const apiTokens = queryOptions({
  queryKey: ["api-tokens"],
  queryFn: ({ signal }) => list("/v1/api-tokens", ApiToken, { signal }),
});

/** Every version and removal of the fleet's own. */
export const policyHistory = queryOptions({
  queryKey: ["policies"],
  queryFn: ({ signal }) => list("/v1/policies?history=true", Policy, { signal }),
  refetchInterval: 15_000,
});

export const shippedPolicies = queryOptions({
  queryKey: ["policies", "shipped"],
  queryFn: ({ signal }) => list("/v1/policies/shipped", ShippedPolicy, { signal }),
  refetchInterval: false,
});
