import { z } from "@hono/zod-openapi";
import { DetectionRow, page } from "@picket/shared/api";
import { NodeId } from "@picket/shared/ids";
import { streamSSE } from "hono/streaming";
import type { Services } from "../../context.ts";
import { listDetections } from "../../detections/list.ts";
import { streamDetections } from "../../detections/stream.ts";
import { PageInput } from "../../page.ts";
import { type App, route } from "../route.ts";

const Sequence = z.coerce.number().int().min(0);

export function detectionRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "detections.list",
    {
      summary: "Detections, newest first; with `since` those after it, oldest first",
      query: PageInput.extend({ since: Sequence.optional(), node: NodeId.optional() }),
      answer: page(DetectionRow),
    },
    (ctx, { query }) => listDetections({ ctx, input: query }),
  );
  route(
    app,
    services,
    "detections.stream",
    {
      summary: "Detections as they are committed (text/event-stream); goes on after Last-Event-ID",
      query: z.object({ since: Sequence.optional() }),
      unbounded: true,
    },
    async (ctx, { query }, c, again) => {
      const last = Sequence.safeParse(c.req.header("last-event-id"));
      const since = last.success ? last.data : query.since;
      return streamSSE(c, async stream => {
        const gone = new AbortController();
        stream.onAbort(() => gone.abort());
        services.closing.addEventListener("abort", () => gone.abort(), { once: true, signal: gone.signal });
        // Headers and the browser's onopen come with the first byte.
        await stream.writeSSE({ event: "open", data: "" });
        const frames = streamDetections({ ctx, input: { since, signal: gone.signal, again } });
        for await (const frame of untilItFails(frames, error =>
          services.log.warn({ error }, "a stream ended"),
        )) {
          switch (frame.kind) {
            case "row":
              await stream.writeSSE({
                event: "detection",
                id: String(frame.row.sequence),
                data: JSON.stringify(frame.row),
              });
              break;
            case "heartbeat":
              await stream.write(": still here\n\n");
              break;
          }
        }
      });
    },
  );
}

/** The reader comes back by itself, with the last id it saw; what failed is not its business. */
async function* untilItFails<T>(
  items: AsyncIterable<T>,
  failed: (error: unknown) => void,
): AsyncGenerator<T> {
  try {
    yield* items;
  } catch (error) {
    failed(error);
  }
}
