import { expect, test } from "vitest";
import { sign } from "./signature.ts";

test("signs as the Standard Webhooks reference libraries do", () => {
  // Their published example.
  const signed = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", {
    id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
    timestampS: 1_614_265_330,
    body: '{"test": 2432232314}',
  });
  expect(signed).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});
