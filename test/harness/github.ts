// GitHub's issue routes, over HTTP: one stand-in serves the control plane's own tests and the journeys.
export { startGitHub } from "../../services/control-plane/test/github.ts";
