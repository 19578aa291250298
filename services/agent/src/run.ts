/** From settings to a running agent, and from a signal to its end. */
import { startAgent } from "./agent.ts";
import { AGENT_VERSION, ConfigError, readConfig } from "./config.ts";
import { ClaimRefused } from "./host/claim.ts";
import { HostRefused } from "./host/requirements.ts";
import { openLog } from "./log.ts";
import { useTls } from "./uplink/http.ts";

export async function run(): Promise<void> {
  try {
    await start();
  } catch (error) {
    // What the operator can put right is said without a stack.
    const known =
      error instanceof ConfigError || error instanceof HostRefused || error instanceof ClaimRefused;
    process.stderr.write(`picket agent: ${known ? error.message : ((error as Error).stack ?? error)}\n`);
    // What a half start has opened would keep the process alive.
    process.exit(known ? 78 : 1);
  }
}

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const log = openLog(config.logLevel);
  useTls(config.tls, error =>
    log.warn(
      { error: error.message },
      "PICKET_TLS_CERT, PICKET_TLS_KEY or PICKET_TLS_CA cannot be read anew; what they held before goes on",
    ),
  );
  log.info({ version: AGENT_VERSION, kernel: config.kernel }, "picket agent");
  // A signal that comes during the start is met at its end: half a start is not left in the kernel.
  const starting = startAgent(config, log);
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, "stopping");
    starting
      .then(agent => agent.stop())
      .then(
        () => process.exit(0),
        error => {
          log.error({ error: String(error) }, "the stop did not end well");
          process.exit(1);
        },
      );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  await starting;
}
