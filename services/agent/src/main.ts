/** Starts the agent and stops it on SIGTERM or SIGINT; a second signal ends it at once. */
import { fileURLToPath } from "node:url";
import { beLean } from "./capture/lean.ts";

beLean(fileURLToPath(import.meta.url));
// Loaded only by the process that stays.
await (await import("./run.ts")).run();
