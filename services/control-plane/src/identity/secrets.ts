/** Tokens: random, shown once, stored as SHA-256 (they have enough entropy to need no slow hash). */
import { createHash } from "node:crypto";
import type { Services } from "../context.ts";

export const hashToken = (token: string): string => createHash("sha256").update(token).digest("hex");

const draw = (ctx: Pick<Services, "random">, prefix: string): string =>
  `${prefix}_${ctx.random(24).toString("base64url")}`;

export const drawApiToken = (ctx: Pick<Services, "random">) => draw(ctx, "pkt");
export const drawJoinToken = (ctx: Pick<Services, "random">) => draw(ctx, "pkj");
export const drawSession = (ctx: Pick<Services, "random">) => draw(ctx, "pks");
