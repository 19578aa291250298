import { expect, test } from "vitest";
import { mayReach } from "./addresses.ts";

test.each([
  "127.0.0.1",
  "127.255.255.254",
  "0.0.0.0",
  "10.1.2.3",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "169.254.169.254",
  "100.64.0.1",
  "100.100.100.200",
  "198.18.0.1",
  "224.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:a9fe:a9fe",
  "::127.0.0.1",
  "64:ff9b::7f00:1",
  "64:ff9b:1::7f00:1",
  "fe80::1",
  "fe80::1%eth0",
  "fc00::1",
  "fd00:ec2::254",
  "ff02::1",
  "2001:db8::1",
  "2002:7f00:1::",
  "not an address",
])("%s is never reached unasked", address => {
  expect(mayReach(address, [])).toBe(false);
});

test.each(["1.1.1.1", "172.32.0.1", "::ffff:1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e"])(
  "%s is public",
  address => {
    expect(mayReach(address, [])).toBe(true);
  },
);

test("an allowed network is reached, however the address is written, and no other", () => {
  const allowed = ["127.0.0.0/8", "fd00::/8"];
  expect(mayReach("127.0.0.1", allowed)).toBe(true);
  expect(mayReach("::ffff:127.0.0.1", allowed)).toBe(true);
  expect(mayReach("fd12::1", allowed)).toBe(true);
  expect(mayReach("10.0.0.1", allowed)).toBe(false);
});
