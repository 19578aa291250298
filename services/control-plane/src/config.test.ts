import { expect, test } from "vitest";
import { readConfig } from "./config.ts";

const enough = { DATABASE_URL: "postgres://picket@db/picket", REDIS_URL: "/run/redis.sock" };

test("says every wrong setting by name and what would be right", () => {
  const read = () =>
    readConfig({
      PICKET_LISTEN: "7400",
      PICKET_ALLOW_PRIVATE_WEBHOOKS: "10.0.0.1",
      PICKET_BOOTSTRAP_TOKEN: "x",
    });
  expect(read).toThrow(/DATABASE_URL/);
  expect(read).toThrow(/PICKET_LISTEN: host:port/);
  expect(read).toThrow(/PICKET_ALLOW_PRIVATE_WEBHOOKS: a network such as/);
  expect(read).toThrow(/PICKET_BOOTSTRAP_TOKEN: pkt_/);
});

test("listens on loopback unless told otherwise", () => {
  expect(readConfig(enough).listen).toEqual({ host: "127.0.0.1", port: 7400 });
  expect(readConfig({ ...enough, PICKET_LISTEN: "[::]:80" }).listen).toEqual({ host: "::", port: 80 });
});

test("an empty setting is none", () => {
  expect(readConfig({ ...enough, PICKET_GITHUB_REPO: "", PICKET_SECRET_KEY: "" })).toMatchObject({
    github: undefined,
    secretKey: undefined,
  });
});

test("TLS wants certificate and key, both readable", () => {
  expect(readConfig(enough).tls).toBeNull();
  expect(() => readConfig({ ...enough, PICKET_TLS_CERT: "/a.pem" })).toThrow(/PICKET_TLS_KEY/);
  expect(() => readConfig({ ...enough, PICKET_TLS_CLIENT_CA: "/a.pem" })).toThrow(/PICKET_TLS_CERT/);
  const absent = { PICKET_TLS_CERT: "/nonexistent.pem", PICKET_TLS_KEY: "/nonexistent.key" };
  expect(() => readConfig({ ...enough, ...absent })).toThrow(/nonexistent\.pem/);
});
