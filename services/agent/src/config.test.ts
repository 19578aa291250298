/** Settings: what is taken, and what is refused by its name. */
import { expect, test } from "vitest";
import { ConfigError, readConfig } from "./config.ts";

for (const [text, ms] of [
  [undefined, 3_600_000],
  ["1s", 1_000],
  ["30m", 1_800_000],
  ["1d", 86_400_000],
] as const)
  test(`PICKET_CERTIFICATE_INTERVAL=${text ?? ""} is ${ms} ms`, () => {
    const env = text === undefined ? {} : { PICKET_CERTIFICATE_INTERVAL: text };
    expect(readConfig(env).certificateIntervalMs).toBe(ms);
  });

for (const [name, text] of [
  ["PICKET_CERTIFICATE_INTERVAL", "500ms"],
  ["PICKET_CERTIFICATE_INTERVAL", "hourly"],
  ["PICKET_CERTIFICATE_INTERVAL", "3600"],
  ["PICKET_SPOOL_BYTES_MAX", "1k"],
  ["PICKET_HOLD_BYTES_MAX", "0"],
  ["PICKET_COMPARE_ONE_IN", "1000"],
  ["PICKET_METRICS", "7401"],
  ["PICKET_LABELS", "zone"],
  ["PICKET_INSTANCE", "../agent"],
  ["PICKET_CGROUP", "/a/../b"],
  ["PICKET_TLS_CERT", "/etc/picket/node.pem"],
  ["PICKET_TLS_CA", "/nonexistent.pem"],
] as const)
  test(`${name}=${text} is refused by its name`, () => {
    expect(() => readConfig({ [name]: text })).toThrow(ConfigError);
    expect(() => readConfig({ [name]: text })).toThrow(name);
  });
