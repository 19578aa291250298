/** The pages, as a table of contents: a noun is a folder under pages/, and an entry here and in the shell's
 * navigation. */
import { createRootRoute, createRoute, createRouter, Link } from "@tanstack/react-router";
import { z } from "zod";
import { Access } from "./pages/access/access.tsx";
import { AlertList } from "./pages/alerts/alert-list.tsx";
import { DetectionList } from "./pages/detections/detection-list.tsx";
import { views } from "./pages/detections/outcome.ts";
import { VerdictList } from "./pages/immunity/verdict-list.tsx";
import { VerdictPage } from "./pages/immunity/verdict-page.tsx";
import { NodeList } from "./pages/nodes/node-list.tsx";
import { NodePage } from "./pages/nodes/node-page.tsx";
import { Overview } from "./pages/overview/overview.tsx";
import { OfferPage } from "./pages/profiles/offer-page.tsx";
import { ProfileList } from "./pages/profiles/profile-list.tsx";
import { RolloutList } from "./pages/rollouts/rollout-list.tsx";
import { RolloutPage } from "./pages/rollouts/rollout-page.tsx";
import { Shell } from "./pages/shell/shell.tsx";
import { PageHead } from "./ui/layout.tsx";
import { Failed } from "./ui/states.tsx";

const DetectionSearch = z.object({
  view: z.enum(views).optional().catch(undefined),
  q: z.string().max(200).optional().catch(undefined),
});

const root = createRootRoute({
  component: Shell,
  errorComponent: ({ error, reset }) => <Failed error={error} onRetry={reset} />,
  notFoundComponent: NotFound,
});

const parent = () => root;
const overview = createRoute({ getParentRoute: parent, path: "/", component: Overview });
const nodes = createRoute({ getParentRoute: parent, path: "/nodes", component: NodeList });
const node = createRoute({ getParentRoute: parent, path: "/nodes/$id", component: NodePage });
const rollouts = createRoute({ getParentRoute: parent, path: "/rollouts", component: RolloutList });
const rollout = createRoute({ getParentRoute: parent, path: "/rollouts/$id", component: RolloutPage });
const detections = createRoute({
  getParentRoute: parent,
  path: "/detections",
  component: DetectionList,
  validateSearch: DetectionSearch,
});
const alerts = createRoute({ getParentRoute: parent, path: "/alerts", component: AlertList });
const immunity = createRoute({ getParentRoute: parent, path: "/immunity", component: VerdictList });
const verdict = createRoute({ getParentRoute: parent, path: "/immunity/$id", component: VerdictPage });
const profiles = createRoute({ getParentRoute: parent, path: "/profiles", component: ProfileList });
const offer = createRoute({ getParentRoute: parent, path: "/profiles/$id", component: OfferPage });
const access = createRoute({ getParentRoute: parent, path: "/access", component: Access });

const routeTree = root.addChildren([
  overview,
  nodes,
  node,
  rollouts,
  rollout,
  detections,
  alerts,
  immunity,
  verdict,
  profiles,
  offer,
  access,
]);

function NotFound() {
  return (
    <PageHead title="There is no such page">
      <Link to="/">Overview</Link>
    </PageHead>
  );
}

export const router = createRouter({
  routeTree,
  defaultErrorComponent: ({ error, reset }) => <Failed error={error} onRetry={reset} />,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
