import { z } from "@hono/zod-openapi";
import { Alert, CertificateRow, Delivery, page, Ticket, Webhook, WebhookRequest } from "@picket/shared/api";
import { acknowledgeAlert } from "../../alerts/acknowledge.ts";
import { listAlerts, showAlert } from "../../alerts/show.ts";
import { listCertificates } from "../../certificates/list.ts";
import type { Services } from "../../context.ts";
import { sendAgain } from "../../deliveries/send-again.ts";
import { listDeliveries } from "../../deliveries/show.ts";
import { createWebhook, deleteWebhook, listWebhooks } from "../../deliveries/webhooks.ts";
import { PageInput, whole } from "../../page.ts";
import { listTickets } from "../../tickets/list.ts";
import { type App, IdParams, route } from "../route.ts";

export function alertRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "certificates.list",
    { summary: "Certificates of databases as nodes saw them last", answer: page(CertificateRow) },
    async ctx => whole(await listCertificates({ ctx })),
  );
  route(
    app,
    services,
    "alerts.list",
    {
      summary: "Alerts, newest first",
      query: PageInput.extend({ state: Alert.shape.state.optional() }),
      answer: page(Alert),
    },
    (ctx, { query }) => listAlerts({ ctx, input: query }),
  );
  route(
    app,
    services,
    "alerts.show",
    { summary: "One alert", params: IdParams, answer: Alert },
    (ctx, { params }) => showAlert({ ctx, input: params }),
  );
  route(
    app,
    services,
    "alerts.acknowledge",
    { summary: "Say that somebody has seen it", params: IdParams, answer: Alert },
    (ctx, { params }) => acknowledgeAlert({ ctx, input: params }),
  );
  route(
    app,
    services,
    "deliveries.list-webhooks",
    { summary: "Webhooks", answer: page(Webhook) },
    async ctx => whole(await listWebhooks({ ctx })),
  );
  route(
    app,
    services,
    "deliveries.create-webhook",
    {
      summary: "Create a webhook; its secret is shown once",
      body: WebhookRequest,
      answer: Webhook,
      status: 201,
    },
    (ctx, { body }) => createWebhook({ ctx, input: body }),
  );
  route(
    app,
    services,
    "deliveries.delete-webhook",
    { summary: "Delete a webhook", params: IdParams },
    (ctx, { params }) => deleteWebhook({ ctx, input: params }),
  );
  route(
    app,
    services,
    "deliveries.list",
    { summary: "Deliveries, newest first", query: PageInput, answer: page(Delivery) },
    (ctx, { query }) => listDeliveries({ ctx, input: query }),
  );
  route(
    app,
    services,
    "deliveries.send-again",
    {
      summary: "Give a dead letter its attempts anew",
      params: IdParams,
      answer: Delivery,
      query: z.object({}),
    },
    (ctx, { params }) => sendAgain({ ctx, input: params }),
  );
  route(
    app,
    services,
    "tickets.list",
    { summary: "Tickets, one per cause", answer: page(Ticket) },
    async ctx => whole(await listTickets({ ctx })),
  );
}
