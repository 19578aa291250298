import { page } from "@picket/shared/api";
import { Backtest, BacktestDetails, BacktestRequest } from "@picket/shared/backtest";
import { listBacktests, showBacktest } from "../../backtests/show.ts";
import { startBacktest } from "../../backtests/start.ts";
import type { Services } from "../../context.ts";
import { PageInput } from "../../page.ts";
import { type App, IdParams, route } from "../route.ts";

export function backtestRoutes(app: App, services: Services): void {
  route(
    app,
    services,
    "backtests.start",
    {
      summary: "Replay a version, or a rule text, over the shapes that the fleet has reported",
      body: BacktestRequest,
      bodyBytesMax: 4 << 20,
      answer: Backtest,
      status: 202,
    },
    (ctx, { body }) => startBacktest({ ctx, input: body }),
  );
  route(
    app,
    services,
    "backtests.list",
    { summary: "Backtests, newest first", query: PageInput, answer: page(Backtest) },
    (ctx, { query }) => listBacktests({ ctx, input: query }),
  );
  route(
    app,
    services,
    "backtests.show",
    { summary: "One backtest with its report", params: IdParams, answer: BacktestDetails },
    (ctx, { params }) => showBacktest({ ctx, input: params }),
  );
}
