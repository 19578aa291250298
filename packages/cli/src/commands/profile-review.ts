/**
 * From what one node has learned to what every node of the workload knows: offered by the node, reviewed here, signed
 * with the release key, pushed. Signing needs no network.
 */
import { ProfileOfferDetails, ProfileOfferRow, SignedProfileRow } from "@picket/shared/api";
import { countersigned } from "@picket/shared/dsse";
import { ProfileExport, SignedProfile, SignedProfileEnvelope } from "@picket/shared/profile";
import { signedProfileDigest, signProfile } from "@picket/shared/signed-profile";
import { Duration, durationMs } from "@picket/shared/vocabulary";
import type { Command } from "commander";
import { z } from "zod";
import { collect, leaf, pick, shortId, wholeNumber } from "../command.ts";
import { usage } from "../errors.ts";
import { readJson, writeJson } from "../files.ts";
import { ago, harmless, table } from "../output.ts";
import type { Surroundings } from "../program.ts";
import { readReleaseKey } from "../release-key.ts";

type Reviewed = { profile: ProfileExport; removed: string[] };
const Reviewed = z.strictObject({ profile: ProfileExport, removed: SignedProfile.shape.removed });

export function profileReviewCommands(profiles: Command, surroundings: Surroundings): void {
  leaf(profiles, surroundings, {
    name: "offers",
    description: "profiles that nodes have learned, for review: the fullest of each, or all of one workload",
    talks: "control-plane",
    build: command => command.option("--workload <name>", "what each node offers of it"),
    async run({ client, output }, options: { workload?: string }) {
      const items = await client().list({
        path: "/v1/profiles/offers",
        query: { workload: options.workload },
        item: ProfileOfferRow,
      });
      output.result(items, () =>
        items.length === 0
          ? "No node has offered a profile."
          : table(output, items, [
              { title: "ID", value: row => shortId(row.id) },
              { title: "WORKLOAD", value: row => harmless(row.workload), flexible: true },
              { title: "USER", value: row => harmless(row.databaseUser) || "not known" },
              { title: "DATABASE", value: row => harmless(row.database) || "not known" },
              { title: "NODE", value: row => harmless(row.hostname) },
              { title: "NODES", value: row => String(row.nodes), align: "right" },
              { title: "PHASE", value: row => (row.learning ? "learning" : "learned") },
              { title: "TEMPLATES", value: row => String(row.templates), align: "right" },
              { title: "OFFERED", value: row => ago(row.offeredAt) },
            ]),
      );
    },
  });
  leaf(profiles, surroundings, {
    name: "review <id>",
    description: "one of them beside the signed profile in force; --out writes what is to be signed",
    talks: "control-plane",
    build: command =>
      command
        .option("--remove <sha256>", "leave out the template of this shape; may be given again", collect, [])
        .option("--workload <name>", "the id is of one of its offers, as `offers --workload` lists them")
        .option("--out <file>", "write the reviewed profile here"),
    async run(
      { client, output },
      options: { remove: string[]; out?: string; workload?: string },
      wanted: string,
    ) {
      const offers = await client().list({
        path: "/v1/profiles/offers",
        query: { workload: options.workload },
        item: ProfileOfferRow,
      });
      const { id } = pick(offers, wanted, "offered profile");
      const offer = await client().request({
        path: `/v1/profiles/offers/${id}`,
        answer: ProfileOfferDetails,
      });
      const reviewed = await review(offer.profile, options.remove);
      if (options.out !== undefined) writeJson(options.out, reviewed);
      const added = new Set(offer.added.map(at => offer.profile.templates[at]));
      const changed = new Set(offer.changed.map(at => offer.profile.templates[at]));
      const rows = [
        ...reviewed.profile.templates.map(template => ({
          template,
          state: added.has(template) ? "new" : changed.has(template) ? "changed" : "in force",
        })),
        ...offer.missing.map(template => ({ template, state: "only in force" })),
      ];
      output.result({ ...offer, ...reviewed, out: options.out ?? null }, () =>
        [
          table(output, rows, [
            {
              title: "STATE",
              value: row => row.state,
              style: row => (row.state === "in force" ? "green" : "yellow"),
            },
            { title: "SEEN", value: row => String(row.template.count), align: "right" },
            { title: "RULES", value: row => row.template.rules.join(",") },
            { title: "SHAPE", value: row => row.template.shapes[0]?.slice(0, 12) ?? "" },
            {
              title: "STATEMENT",
              value: row => harmless(row.template.words.replaceAll("\n", " ")),
              flexible: true,
            },
          ]),
          "",
          `Compared with ${offer.inForce === null ? "nothing: none is signed yet" : `version ${offer.inForce}`}; ${reviewed.removed.length} shapes left out.`,
          options.out === undefined
            ? "--remove <shape> leaves a template out, --out <file> writes the rest."
            : `Next: picket profiles sign ${options.out} --version ${(offer.inForce ?? 0) + 1}`,
        ].join("\n"),
      );
    },
  });
  leaf(profiles, surroundings, {
    name: "sign <file>",
    description: "sign a reviewed profile with the release key; needs no server",
    talks: "nobody",
    build: command =>
      command
        .requiredOption("--version <n>", "one more than the last", wholeNumber("--version", 1))
        .option("--expires <duration>", "later than that nodes do not take it in any more", "90d")
        .option("--key <file>", "release key (default: as for `rules sign`)")
        .option("--out <file>", "where to (default: <file> with .signed.json)"),
    run(
      { env, output },
      options: { version: number; expires: string; key?: string; out?: string },
      file: string,
    ) {
      const reviewed = Reviewed.safeParse(readJson(file));
      if (!reviewed.success)
        throw usage(
          `${file}: ${z.prettifyError(reviewed.error)}`,
          "`picket profiles review --out` writes such a file",
        );
      if (!Duration.safeParse(options.expires).success)
        throw usage(`"${options.expires}" is not a duration`, "write 30d or 90d");
      const nowMs = Date.now();
      const envelope = signProfile(
        {
          format: 1,
          version: options.version,
          ...reviewed.data,
          createdAt: new Date(nowMs).toISOString(),
          expiresAt: new Date(nowMs + durationMs(options.expires)).toISOString(),
        },
        readReleaseKey(env, options.key),
      );
      const out = options.out ?? `${file.replace(/\.json$/, "")}.signed.json`;
      writeJson(out, envelope);
      output.result(
        { file: out, version: options.version, digest: signedProfileDigest(envelope) },
        () => `Signed version ${options.version}.\n\nNext: picket profiles push ${out}`,
      );
    },
  });
  leaf(profiles, surroundings, {
    name: "countersign <file>",
    description: "add another release key's signature, where several are asked for",
    talks: "nobody",
    build: command => command.option("--key <file>", "release key"),
    run({ env, output }, options: { key?: string }, file: string) {
      const signed = countersigned(readEnvelope(file), readReleaseKey(env, options.key));
      writeJson(file, signed);
      const signedBy = signed.signatures.map(({ keyid }) => keyid);
      output.result({ file, signedBy }, () => `${file} is signed by ${signedBy.join(", ")}.`);
    },
  });
  leaf(profiles, surroundings, {
    name: "push <file>",
    description: "offer a signed profile to the nodes of its workload, which judge it again",
    talks: "control-plane",
    async run({ client, output }, _options: object, file: string) {
      const envelope = readEnvelope(file);
      const row = await client().request({
        method: "POST",
        path: "/v1/profiles",
        body: envelope,
        answer: SignedProfileRow,
      });
      output.result(
        row,
        () => `${harmless(row.workload)}: version ${row.version}, ${row.templates} templates.`,
      );
    },
  });
  leaf(profiles, surroundings, {
    name: "signed",
    description: "signed profiles, newest version first",
    talks: "control-plane",
    async run({ client, output }) {
      const items = await client().list({ path: "/v1/profiles", item: SignedProfileRow });
      output.result(items, () =>
        items.length === 0
          ? "No profile is signed yet."
          : table(output, items, [
              { title: "WORKLOAD", value: row => harmless(row.workload), flexible: true },
              { title: "USER", value: row => harmless(row.databaseUser) || "not known" },
              { title: "DATABASE", value: row => harmless(row.database) || "not known" },
              { title: "VERSION", value: row => String(row.version), align: "right" },
              { title: "TEMPLATES", value: row => String(row.templates), align: "right" },
              { title: "REMOVED", value: row => String(row.removed), align: "right" },
              { title: "PUSHED", value: row => ago(row.pushedAt) },
              { title: "BY", value: row => row.pushedBy },
            ]),
      );
    },
  });
}

/** Shapes by their digest, or its beginning. */
async function review(profile: ProfileExport, wanted: readonly string[]): Promise<Reviewed> {
  const isWanted = (shape: string) => wanted.some(start => start.length >= 8 && shape.startsWith(start));
  const out = profile.templates.filter(({ shapes }) => shapes.some(isWanted));
  const named = out.flatMap(({ shapes }) => shapes);
  const nowhere = wanted.find(start => !named.some(shape => shape.startsWith(start)));
  if (nowhere !== undefined)
    throw usage(`no template has the shape ${nowhere}`, "give at least 8 digits of it");
  const { statementOfTemplate } = await import("@picket/judge/replay");
  // Nodes that took a template in know it by the shape that they made of it themselves.
  const made = out.flatMap(
    ({ words, dialect }) => statementOfTemplate(words.split("\n"), dialect)?.shapeSha256 ?? [],
  );
  return {
    profile: { ...profile, templates: profile.templates.filter(template => !out.includes(template)) },
    removed: [...new Set([...named, ...made])],
  };
}

function readEnvelope(file: string): SignedProfileEnvelope {
  const envelope = SignedProfileEnvelope.safeParse(readJson(file));
  if (!envelope.success) throw usage(`${file}: ${z.prettifyError(envelope.error)}`);
  return envelope.data;
}
