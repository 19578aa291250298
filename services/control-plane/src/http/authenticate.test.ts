import { expect, test } from "vitest";
import { type Config, readConfig } from "../config.ts";
import { sessionCookie } from "./authenticate.ts";

test.each([
  ["an address behind a terminator", { publicUrl: "https://picket.example" }, true],
  ["a certificate of its own", { tls: { cert: "/tls/cert.pem", key: "/tls/key.pem" } }, true],
  ["neither", {}, false],
])("the session's cookie with %s: for encrypted connections alone, or not", (_what, over, secure) => {
  const config = {
    ...readConfig({ DATABASE_URL: "postgres://u@127.0.0.1/d", REDIS_URL: "redis://127.0.0.1" }),
    ...over,
  } as Config;
  expect(sessionCookie({ config }).secure).toBe(secure);
});
