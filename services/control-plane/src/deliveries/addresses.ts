/**
 * Which addresses a webhook may reach. Whoever may create a webhook must not reach with it what only the control
 * plane's host can: loopback, private networks, link-local with the clouds' metadata, and what maps onto them.
 * Ranges: the IANA special-purpose registries for IPv4 and IPv6.
 */
import { BlockList, isIP, isIPv4 } from "node:net";

const SPECIAL_V4 = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];
/** Of IPv6 only global unicast is public; inside it these are not, or lead to IPv4. */
const SPECIAL_V6 = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address, prefix] = network.split("/") as [string, string];
    list.addSubnet(address, Number(prefix), isIPv4(address) ? "ipv4" : "ipv6");
  }
  return list;
}

const special = listOf([...SPECIAL_V4, ...SPECIAL_V6]);
const globalUnicast = listOf(["2000::/3"]);

/** `::ffff:127.0.0.1` is 127.0.0.1, however it is written. */
function unmapped(address: string): string {
  if (isIPv4(address)) return address;
  const bare = address.split("%")[0]!;
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (!mapped) return canonical;
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

export function mayReach(address: string, allowedNetworks: readonly string[]): boolean {
  if (isIP(address.split("%")[0]!) === 0) return false;
  const bare = unmapped(address);
  const family = isIPv4(bare) ? "ipv4" : "ipv6";
  if (listOf(allowedNetworks).check(bare, family)) return true;
  if (special.check(bare, family)) return false;
  return family === "ipv4" || globalUnicast.check(bare, "ipv6");
}
