/** What the fleet shares of hostile shapes: the online key, what is in force, who believes it, and taking it back. */
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { ImmunityStatus, SharedVerdictDetails, SharedVerdictRow } from "@picket/shared/api";
import { publicKeyOf } from "@picket/shared/dsse";
import type { Command } from "commander";
import { z } from "zod";
import { group, leaf, pick, shortId } from "../command.ts";
import { writePrivate } from "../config.ts";
import { CliError } from "../errors.ts";
import { ago, facts, harmless, type Output, table } from "../output.ts";
import type { Surroundings } from "../program.ts";

export function immunityCommands(program: Command, surroundings: Surroundings): void {
  const immunity = group(program, "immunity", "hostile shapes that nodes share with the fleet");
  leaf(immunity, surroundings, {
    name: "key",
    description: "make the online key that the control plane shares verdicts with",
    talks: "nobody",
    build: command => command.option("--out <file>", "where to", "sharing.pem"),
    run({ output }, { out }: { out: string }) {
      const file = resolve(out);
      const publicFile = file.replace(/(\.pem)?$/, ".pub.pem");
      for (const each of [file, publicFile])
        if (existsSync(each)) throw new CliError("conflict", "exists", `${each} already exists`);
      const { privateKey } = generateKeyPairSync("ed25519");
      writePrivate(file, privateKey.export({ type: "pkcs8", format: "pem" }));
      writeFileSync(publicFile, createPublicKey(privateKey).export({ type: "spki", format: "pem" }));
      const made = { ...publicKeyOf(privateKey), file, publicFile };
      output.result(made, () =>
        [
          facts(output, [
            ["Key id", made.keyid],
            ["Private key", `${file}: the control plane's PICKET_SHARING_KEY`],
            ["Public key", publicFile],
          ]),
          "",
          `Next: \`picket rules sign <file> --version <n> --delegate ${publicFile}\` lets it share verdicts.`,
        ].join("\n"),
      );
    },
  });
  leaf(immunity, surroundings, {
    name: "status",
    description: "whether verdicts are shared, and by whose leave",
    talks: "control-plane",
    async run({ client, output }) {
      const status = await client().request({ path: "/v1/immunity", answer: ImmunityStatus });
      output.result(status, () => statusText(output, status));
    },
  });
  leaf(immunity, surroundings, {
    name: "ls",
    description: "shared verdicts, newest first",
    talks: "control-plane",
    build: command => command.option("--state <state>", SharedVerdictRow.shape.state.options.join(", ")),
    async run({ client, output }, { state }: { state?: string }) {
      const query = state === undefined ? "" : `?state=${encodeURIComponent(state)}`;
      const items = await client().list({
        path: `/v1/immunity/verdicts${query}`,
        item: SharedVerdictRow,
      });
      output.result(items, () =>
        items.length === 0
          ? "No verdict is shared."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              {
                title: "STATE",
                value: row => row.state,
                style: row => (row.state === "in-force" ? "green" : "yellow"),
              },
              { title: "RULE", value: row => harmless(row.rule) },
              { title: "BELIEVED", value: row => String(row.believed), align: "right" },
              {
                title: "REFUSED",
                value: row => String(Object.values(row.refused).reduce((sum, nodes) => sum + nodes, 0)),
                align: "right",
              },
              { title: "CLAIMED", value: row => ago(row.claimedAt) },
              { title: "SHAPE", value: row => harmless(row.text), flexible: true },
            ]),
      );
    },
  });
  leaf(immunity, surroundings, {
    name: "show <id>",
    description: "one shared verdict, and what each node made of it",
    talks: "control-plane",
    async run({ client, output }, _options, wanted: string) {
      const id = await find(client(), wanted);
      const found = await client().request({
        path: `/v1/immunity/verdicts/${id}`,
        answer: SharedVerdictDetails,
      });
      output.result(found, () => detailsText(output, found));
    },
  });
  leaf(immunity, surroundings, {
    name: "revoke <id>",
    description: "take one back from every node",
    talks: "control-plane",
    build: command => command.option("--reason <text>", "shown with it", "revoked by a person"),
    async run({ client, output }, { reason }: { reason: string }, wanted: string) {
      const id = await find(client(), wanted);
      await client().request({
        method: "DELETE",
        path: `/v1/immunity/verdicts/${id}?reason=${encodeURIComponent(reason)}`,
        answer: z.unknown(),
      });
      output.result({ id }, () => `Revoked ${shortId(id)}.`);
    },
  });
  leaf(immunity, surroundings, {
    name: "off",
    description: "take everything shared back, and share nothing until `picket immunity on`",
    talks: "control-plane",
    build: command => command.requiredOption("--reason <text>", "shown to whoever asks"),
    async run({ client, output }, { reason }: { reason: string }) {
      const status = await client().request({
        method: "POST",
        path: "/v1/immunity/stop",
        body: { reason },
        answer: ImmunityStatus,
      });
      output.result(status, () => statusText(output, status));
    },
  });
  leaf(immunity, surroundings, {
    name: "on",
    description: "share again",
    talks: "control-plane",
    async run({ client, output }) {
      const status = await client().request({
        method: "DELETE",
        path: "/v1/immunity/stop",
        answer: ImmunityStatus,
      });
      output.result(status, () => statusText(output, status));
    },
  });
}

type Client = ReturnType<Parameters<Parameters<typeof leaf>[2]["run"]>[0]["client"]>;

async function find(client: Client, wanted: string): Promise<string> {
  const items = await client.list({ path: "/v1/immunity/verdicts", item: SharedVerdictRow });
  return pick(items, wanted, "shared verdict").id;
}

function statusText(output: Output, { keyid, delegations, stopped, verdicts }: ImmunityStatus): string {
  const leave = delegations.map(
    ({ ruleSet, version, delegation: { expiresAt, caps } }) =>
      `${ruleSet}@${version} until ${expiresAt}: ${caps.inForce} in force, ${caps.inForcePerNode} of one node, ${caps.perHour} an hour, each for ${caps.ttl}`,
  );
  return facts(output, [
    [
      "Sharing",
      stopped
        ? `${output.paint("red", "stopped")} by ${stopped.by}, ${ago(stopped.at)}: ${harmless(stopped.reason)}`
        : keyid === null
          ? "off: the control plane has no PICKET_SHARING_KEY"
          : leave.length === 0
            ? "off: no rule version names the online key (`picket rules sign --delegate`)"
            : output.paint("green", "on"),
    ],
    ["Online key", keyid ?? "none"],
    ["By leave of", leave.join("\n") || "nobody"],
    [
      "Verdicts",
      Object.entries(verdicts)
        .map(([state, count]) => `${count} ${state}`)
        .join(", ") || "none",
    ],
  ]);
}

function detailsText(output: Output, found: SharedVerdictDetails): string {
  const head = facts(output, [
    ["Id", found.id],
    ["State", found.because === null ? found.state : `${found.state}: ${harmless(found.because)}`],
    ["Shape", harmless(found.text)],
    ["Rule", `${harmless(found.rule)} of ${found.ruleSet}@${found.version}`],
    ["First judged", `${found.judgedAt} by node ${shortId(found.source)}; ${found.claims} claim it`],
    ["Expires", found.expiresAt ?? "not issued"],
    ["Believed by", `${found.believed} nodes`],
  ]);
  if (found.nodes.length === 0) return head;
  return [
    head,
    "",
    table(output, found.nodes, [
      { title: "NODE", value: row => shortId(row.node) },
      { title: "HOST", value: row => harmless(row.hostname), flexible: true },
      {
        title: "ANSWER",
        value: row => row.because ?? "believed",
        style: row => (row.because === null ? "green" : "yellow"),
      },
      { title: "AT", value: row => row.at },
    ]),
  ].join("\n");
}
