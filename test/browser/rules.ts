/** Signed versions of a rule set, pushed as an author pushes them. */
import { createHash, generateKeyPairSync } from "node:crypto";
import { type Bundle, bundleDigest, releaseKey, signBundle } from "@picket/shared/bundle";
import type { BundleDigest } from "@picket/shared/ids";
import type { Api } from "./control-plane.ts";
import { RULE_SET } from "./fleet.ts";

const ruleText = (version: number) => `
apiVersion: picket/v1
kind: RuleSet
metadata:
  name: ${RULE_SET}
  description: version ${version}
spec:
  core: false
  shapes:
    - id: orders-export
      action: block
      sql: SELECT * FROM orders WHERE customer = 1 AND status IN ('open')
`;

export interface Author {
  push(version: number): Promise<BundleDigest>;
}

/** Registers a release key; it stays with the author. */
export async function author(api: Api): Promise<Author> {
  const { privateKey } = generateKeyPairSync("ed25519");
  await api("POST", "/v1/release-keys", releaseKey(privateKey));
  // No kernel here loads it.
  const object = Buffer.from("a slot program");
  const digest = createHash("sha256").update(object).digest("hex") as Bundle["objects"]["slot"];
  await api("PUT", `/v1/objects/${digest}`, object);
  return {
    async push(version) {
      const bundle: Bundle = {
        format: 1,
        ruleSet: RULE_SET,
        version: version as Bundle["version"],
        ruleText: ruleText(version),
        objects: { slot: digest },
        abi: 1,
        kernelMin: "6.1",
        floor: 0,
        createdAt: new Date().toISOString(),
        expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
      };
      const payload = Buffer.from(JSON.stringify(bundle));
      await api("POST", `/v1/rule-sets/${RULE_SET}/versions`, signBundle(payload, [privateKey]));
      return bundleDigest(payload);
    },
  };
}
