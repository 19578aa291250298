import { z } from "@hono/zod-openapi";
import { ProfileOfferDetails, ProfileOfferRow, page, SignedProfileRow } from "@picket/shared/api";
import { SignedProfileEnvelope } from "@picket/shared/profile";
import type { Services } from "../../context.ts";
import { PageInput } from "../../page.ts";
import { pushProfile } from "../../profiles/push.ts";
import { listOffers, listSigned, showOffer } from "../../profiles/review.ts";
import { type App, IdParams, route } from "../route.ts";

export function profileRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "profiles.list-offers",
    {
      summary: "Profiles that nodes have learned, for review: the fullest of each, or all of one workload",
      query: PageInput.extend({ workload: z.string().max(255).optional() }),
      answer: page(ProfileOfferRow),
    },
    (ctx, { query }) => listOffers({ ctx, input: query }),
  );
  route(
    app,
    services,
    "profiles.show-offer",
    {
      summary: "One of them, compared with the signed profile in force",
      params: IdParams,
      answer: ProfileOfferDetails,
    },
    (ctx, { params }) => showOffer({ ctx, input: params }),
  );
  route(
    app,
    services,
    "profiles.list",
    {
      summary: "Signed profiles, newest version first",
      query: PageInput,
      answer: page(SignedProfileRow),
    },
    (ctx, { query }) => listSigned({ ctx, input: query }),
  );
  route(
    app,
    services,
    "profiles.push",
    {
      summary: "Push a reviewed profile that a release key has signed",
      body: SignedProfileEnvelope,
      bodyBytesMax: 8 << 20,
      answer: SignedProfileRow,
      status: 201,
    },
    (ctx, { body }) => pushProfile({ ctx, input: { envelope: body } }),
  );
}
