/** The agent's settings, all from the environment; a wrong one is refused at start with its name and what to write. */
import { hostname, release } from "node:os";
import { join } from "node:path";
import { CONTROL_SOCKET_DEFAULT } from "@picket/shared/control-socket";
import { Duration, durationMs, Labels } from "@picket/shared/vocabulary";
import { readTls, type TlsFiles } from "./uplink/tls.ts";

export const AGENT_VERSION = "0.1.0";

export type Config = {
  stateDirectory: string;
  socketPath: string;
  metrics: { host: string; port: number } | null;
  /** cgroup2 path below the mount where the programs attach; "/" is the mount's root. */
  cgroup: string;
  /** Names the pins: /sys/fs/bpf/picket-<instance>. */
  instance: string;
  /** Directory of rule sets, only while not enrolled. */
  rulesDirectory: string | null;
  /** Enrol at start when not yet enrolled. */
  join: { url: string; token: string } | null;
  /** Null: the host's authorities, no certificate of this node's own. */
  tls: TlsFiles | null;
  labels: Labels;
  hostname: string;
  kernel: string;
  /** Stop leaves the programs judging; the next start takes over without a gap. */
  keepEnforcing: boolean;
  spoolBytesMax: number;
  /** What the keeper may hold of all connections together. */
  holdBytesMax: number;
  /** One statement in so many that the kernel knows is read again here; a power of two. */
  compareOneIn: number;
  /** How often each database's TLS endpoint is probed. */
  certificateIntervalMs: number;
  /** The node's key is changed when it is older. */
  keyLifetimeMs: number;
  /** How often a fleet's agent tells which shapes it has seen. */
  shapesIntervalMs: number;
  /** How often what a twin found is told. */
  twinIntervalMs: number;
  /** Tell the fleet what was found hostile here, and heed what was found elsewhere. */
  immunity: boolean;
  logLevel: string;
};

export class ConfigError extends Error {
  override name = "ConfigError";
}

export function readConfig(env: NodeJS.ProcessEnv): Config {
  const url = env.PICKET_URL;
  const token = env.PICKET_JOIN_TOKEN;
  if (url && !URL.canParse(url)) throw new ConfigError(`PICKET_URL is not a URL: ${url}`);
  const instance = env.PICKET_INSTANCE || "agent";
  if (!/^[a-z0-9][a-z0-9-]{0,40}$/.test(instance))
    throw new ConfigError(
      `PICKET_INSTANCE must be lower-case letters, digits and hyphens, not "${instance}"`,
    );
  return {
    stateDirectory: env.PICKET_STATE || "/var/lib/picket",
    socketPath: env.PICKET_SOCKET || CONTROL_SOCKET_DEFAULT,
    metrics: parseListen(env.PICKET_METRICS ?? "127.0.0.1:7401"),
    cgroup: normaliseCgroup(env.PICKET_CGROUP || "/"),
    instance,
    rulesDirectory: env.PICKET_RULES || null,
    join: url && token ? { url: url.replace(/\/+$/, ""), token } : null,
    tls: tlsFiles(env),
    labels: parseLabels(env.PICKET_LABELS ?? ""),
    hostname: env.PICKET_HOSTNAME || hostname(),
    kernel: release(),
    keepEnforcing: env.PICKET_KEEP_ENFORCING === "1",
    spoolBytesMax: parseBytes("PICKET_SPOOL_BYTES_MAX", env.PICKET_SPOOL_BYTES_MAX ?? "67108864"),
    holdBytesMax: parseBytes("PICKET_HOLD_BYTES_MAX", env.PICKET_HOLD_BYTES_MAX ?? "268435456"),
    compareOneIn: parseOneIn(env.PICKET_COMPARE_ONE_IN ?? "4096"),
    certificateIntervalMs: parseInterval(
      "PICKET_CERTIFICATE_INTERVAL",
      env.PICKET_CERTIFICATE_INTERVAL ?? "1h",
    ),
    keyLifetimeMs: parseInterval("PICKET_KEY_LIFETIME", env.PICKET_KEY_LIFETIME ?? "30d"),
    twinIntervalMs: parseInterval("PICKET_TWIN_INTERVAL", env.PICKET_TWIN_INTERVAL ?? "30s"),
    shapesIntervalMs: parseInterval("PICKET_SHAPES_INTERVAL", env.PICKET_SHAPES_INTERVAL ?? "5m"),
    immunity: parseSwitch("PICKET_IMMUNITY", env.PICKET_IMMUNITY || "on"),
    logLevel: env.PICKET_LOG_LEVEL || "info",
  };
}

export function tlsFiles(env: NodeJS.ProcessEnv): TlsFiles | null {
  const { PICKET_TLS_CA: ca, PICKET_TLS_CERT: cert, PICKET_TLS_KEY: key } = env;
  if (!cert !== !key)
    throw new ConfigError(
      "PICKET_TLS_CERT and PICKET_TLS_KEY: this node's certificate and its key, both or neither",
    );
  if (!ca && !cert) return null;
  const files = { ca: ca || null, own: cert && key ? { cert, key } : null };
  try {
    readTls(files);
  } catch (error) {
    throw new ConfigError(`PICKET_TLS_CA, PICKET_TLS_CERT or PICKET_TLS_KEY: ${(error as Error).message}`);
  }
  return files;
}

/** `a=b,c=d`. */
function parseLabels(text: string): Labels {
  const labels: Record<string, string> = {};
  for (const pair of text.split(",")) {
    if (pair.trim() === "") continue;
    const at = pair.indexOf("=");
    if (at < 1)
      throw new ConfigError(`PICKET_LABELS wants key=value,key=value; "${pair}" has no key and value`);
    labels[pair.slice(0, at).trim()] = pair.slice(at + 1).trim();
  }
  const parsed = Labels.safeParse(labels);
  if (!parsed.success)
    throw new ConfigError("PICKET_LABELS: keys are 1–63 and values at most 253 characters");
  return parsed.data;
}

/** "off" or an empty text turns the listener off. */
function parseListen(text: string): { host: string; port: number } | null {
  if (text === "" || text === "off") return null;
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw new ConfigError(`PICKET_METRICS wants host:port, not "${text}"`);
  return { host: (match[1] ?? match[2])!, port };
}

function parseBytes(name: string, text: string): number {
  const bytes = Number(text);
  if (!Number.isSafeInteger(bytes) || bytes < 1 << 20)
    throw new ConfigError(`${name} wants at least 1048576 bytes, not "${text}"`);
  return bytes;
}

function parseSwitch(name: string, text: string): boolean {
  if (text !== "on" && text !== "off") throw new ConfigError(`${name} is on or off, not "${text}"`);
  return text === "on";
}

function parseOneIn(text: string): number {
  const oneIn = Number(text);
  if (!Number.isInteger(Math.log2(oneIn)) || oneIn < 1 || oneIn > 2 ** 31)
    throw new ConfigError(`PICKET_COMPARE_ONE_IN wants a power of two such as 4096, not "${text}"`);
  return oneIn;
}

/** Below a second the probes themselves would be a load. */
function parseInterval(name: string, text: string): number {
  const duration = Duration.safeParse(text);
  if (!duration.success || durationMs(text) < 1_000)
    throw new ConfigError(`${name} wants a duration of at least 1s, such as 30m or 1h, not "${text}"`);
  return durationMs(text);
}

function normaliseCgroup(text: string): string {
  if (text.split("/").includes(".."))
    throw new ConfigError(`PICKET_CGROUP is a path below the cgroup2 mount, without "..": ${text}`);
  return join("/", text).replace(/\/+$/, "") || "/";
}
