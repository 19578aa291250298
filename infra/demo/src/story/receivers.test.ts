import { createHmac, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { isSigned, startTracker, startWebhookReceiver } from "./receivers.ts";

const key = randomBytes(32);
const body = JSON.stringify({ type: "alert.opened", data: { priority: "P1", title: "An injection" } });
const sign = (with_: Buffer, text: string): string =>
  `v1,${createHmac("sha256", with_).update(`msg_1.1700000000.${text}`).digest("base64")}`;
const headers = (signature: string) => ({
  "webhook-id": "msg_1",
  "webhook-timestamp": "1700000000",
  "webhook-signature": signature,
});

for (const [name, signature, expected] of [
  ["a right one", sign(key, body), true],
  ["a right one beside an older key's", `${sign(randomBytes(32), body)} ${sign(key, body)}`, true],
  ["another key's", sign(randomBytes(32), body), false],
  ["one of another body", sign(key, `${body} `), false],
  ["none", "", false],
  ["one of another scheme", sign(key, body).replace("v1,", "v1a,"), false],
] as const) {
  test(`the receiver ${expected ? "takes" : "refuses"} a signature: ${name}`, () => {
    expect(isSigned({ key, body, headers: headers(signature) })).toBe(expected);
  });
}

test("the webhook receiver notes what came and whether it was signed", async () => {
  const receiver = await startWebhookReceiver();
  receiver.expect(`whsec_${key.toString("base64")}`);
  const post = (signature: string) =>
    fetch(receiver.url, { method: "POST", body, headers: headers(signature) });
  expect((await post(sign(key, body))).status).toBe(204);
  expect((await post("v1,AAAA")).status).toBe(401);
  expect(receiver.received.map(({ signed, title }) => [signed, title])).toEqual([
    [true, "An injection"],
    [false, "An injection"],
  ]);
  await receiver.stop();
});

test("the tracker keeps issues, finds them by their marker, and closes them", async () => {
  const tracker = await startTracker();
  const call = async (method: string, path: string, value?: unknown): Promise<unknown> =>
    (await fetch(tracker.url + path, { method, ...(value ? { body: JSON.stringify(value) } : {}) })).json();
  await call("POST", "/repos/demo/shop/issues", { title: "Injection", body: "<!-- picket:abc -->" });
  await call("POST", "/repos/demo/shop/issues", { title: "Other", body: "" });
  expect(
    await call("GET", `/search/issues?q=${encodeURIComponent('repo:demo/shop "picket:abc"')}`),
  ).toMatchObject({
    total_count: 1,
    items: [{ number: 1, title: "Injection", state: "open" }],
  });
  await call("PATCH", "/repos/demo/shop/issues/1", { state: "closed" });
  await call("POST", "/repos/demo/shop/issues/1/comments", { body: "again" });
  expect(await call("GET", "/repos/demo/shop/issues/1")).toMatchObject({ state: "closed", comments: 1 });
  expect(await call("GET", "/repos/demo/shop/issues/7")).toEqual({ message: "Not Found" });
  await tracker.stop();
});
