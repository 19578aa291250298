/**
 * What one workload sends as one database user to one database: its templates, each with how often and by whom
 * it was sent and which of its literals vary. A profile learns, compares, and can be exported, reviewed, revoked
 * from and loaded again. It holds no value of any literal. Pure: time and process are arguments.
 */
import { createHash } from "node:crypto";
import {
  ProfileExport,
  type ProfileIdentity,
  type ProfileMode,
  type TemplateExport,
} from "@picket/shared/profile";
import { err, ok, type Result } from "@picket/shared/result";
import type { Dialect } from "@picket/shared/vocabulary";
import { type Splice, SpliceIndex } from "./index.ts";
import { skeletonOf } from "./slots.ts";
import { type DriftTokens, LITERAL } from "./tokens.ts";
import { type Additions, Vocabulary } from "./vocabulary.ts";

export type Template = {
  dialect: Dialect;
  words: readonly string[];
  shapes: Set<string>;
  rules: Set<string>;
  count: number;
  firstSeenMs: number;
  lastSeenMs: number;
  /** Process keys, at most PROCESSES_MAX; only their number leaves the node. */
  processes: Set<string>;
  processesBefore: number;
  /** Per literal, small hashes of its values, at most VALUES_MAX. */
  values: Set<number>[];
  valuesBefore: number[];
};

export type Observed = {
  dialect: Dialect;
  tokens: DriftTokens;
  /** Null: never known by its shape, so it is not learned. */
  shapeSha256: string | null;
  /** Ids of the rules that it meets. */
  rules: readonly string[];
  /** Whether one of them is strong enough to call it an attack. */
  attack: boolean;
};

export type Seen = {
  atMs: number;
  /** Process and its start, for example "412@170…": tells two runs of one program apart. */
  process?: string;
  /** A person says that this is honest: a reviewed export, a file of honest traffic. */
  vouched?: boolean;
};

export type Refusal = "attack" | "signals" | "never-known" | "full" | "too-long" | "not-learning";

export const TEMPLATES_MAX = 20_000;
export const TEMPLATE_TOKENS_MAX = 1_024;
const SHAPES_MAX = 64;
const PROCESSES_MAX = 64;
export const VALUES_MAX = 8;
/** One template, and its twin in another spelling, are an exception; three are a habit. */
const HABIT_TEMPLATES = 3;
/** The same trick in other words: a condition that no row changes; and a second statement. */
const kinds: readonly ReadonlySet<string>[] = [
  new Set(["literal-comparison", "constant-condition", "constant-condition-mysql", "doubled-comparison"]),
  new Set(["stacked-statement", "stacked-question"]),
];
const kindOf = (rule: string): string => {
  const kind = kinds.findIndex(one => one.has(rule));
  return kind < 0 ? rule : `kind ${kind}`;
};
const BATCH = kindOf("stacked-statement");

export class Profile {
  readonly identity: ProfileIdentity;
  mode: ProfileMode;
  /** Reviewed and complete: whatever is spliced into one of its templates is an attack. */
  locked: boolean;
  readonly refused: Record<Refusal, number> = {
    attack: 0,
    signals: 0,
    "never-known": 0,
    full: 0,
    "too-long": 0,
    "not-learning": 0,
  };
  readonly #templates = new Map<string, Template>();
  readonly #byShape = new Map<string, Template>();
  readonly #index = { mysql: new SpliceIndex<Template>(), pg: new SpliceIndex<Template>() };
  readonly #vocabulary = { mysql: new Vocabulary(), pg: new Vocabulary() };
  /** Templates by the kinds of rules that they meet, and that a person vouched for all the same. */
  readonly #carriers = new Map<string, number>();
  /** Templates that differ in the columns that they list, and in the tables, too, by what is left of them. */
  readonly #families = new Map<string, Template[]>();
  readonly #templatesMax: number;

  constructor(
    identity: ProfileIdentity,
    { mode = "learn", locked = false, templatesMax = TEMPLATES_MAX }: ProfileOptions = {},
  ) {
    this.identity = identity;
    this.mode = mode;
    this.locked = locked;
    this.#templatesMax = templatesMax;
  }

  get templates(): ReadonlyMap<string, Template> {
    return this.#templates;
  }

  /** The template of exactly this shape. */
  known(shapeSha256: string): Template | undefined {
    return this.#byShape.get(shapeSha256);
  }

  /** The template of these tokens: the same statement but for what honest code varies. */
  variant(dialect: Dialect, { words }: DriftTokens): Template | undefined {
    return this.#templates.get(keyOf(dialect, words));
  }

  splices(dialect: Dialect, { words }: DriftTokens, { cut }: { cut: boolean }): Splice<Template>[] {
    return this.#index[dialect].find(words, { cut });
  }

  several(dialect: Dialect, { words }: DriftTokens): ReturnType<SpliceIndex<Template>["several"]> {
    return this.#index[dialect].several(words);
  }

  /** The token from which on a statement is no template's any more, where it begins as one does. */
  graft(dialect: Dialect, { words }: DriftTokens): number | undefined {
    return this.#index[dialect].graft(words);
  }

  /**
   * What other templates about the same table say of additions to one: that they hold the same, or the same conditions
   * with another order, or nothing of the kind.
   */
  adds({ dialect, words }: Template, additions: Additions): "same" | "alike" | "other" {
    const vocabulary = this.#vocabulary[dialect];
    if (vocabulary.knows(words, additions)) return "same";
    return vocabulary.resembles(words, additions) ? "alike" : "other";
  }

  /** The template and those that differ from it in listed columns alone, or in these and the tables that they read. */
  family(template: Template, { tables }: { tables: boolean }): readonly Template[] {
    return this.#families.get(familyKeysOf(template)[tables ? 1 : 0]) ?? [template];
  }

  /**
   * Whether what a rule finds is how this workload writes: several of its templates meet a rule of that kind, and a
   * person vouched for them, since nothing that a rule matches is learned otherwise. Of a second statement, whether
   * the workload sends such.
   */
  isHabit(rule: string): boolean {
    return (this.#carriers.get(kindOf(rule)) ?? 0) >= HABIT_TEMPLATES;
  }

  /** Takes up an honest statement, or says why not; a refusal is counted and changes nothing else. */
  observe(observed: Observed, seen: Seen): Result<Template, Refusal> {
    const refusal = this.#refusalOf(observed, seen);
    if (refusal) {
      this.refused[refusal]++;
      return err(refusal);
    }
    const { dialect, tokens, shapeSha256, rules } = observed;
    const key = keyOf(dialect, tokens.words);
    let template = this.#templates.get(key);
    if (!template) {
      const literals = tokens.words.filter(word => word === LITERAL).length;
      template = {
        dialect,
        words: tokens.words,
        shapes: new Set(),
        rules: new Set(),
        count: 0,
        firstSeenMs: seen.atMs,
        lastSeenMs: seen.atMs,
        processes: new Set(),
        processesBefore: 0,
        values: Array.from({ length: literals }, () => new Set<number>()),
        valuesBefore: Array.from({ length: literals }, () => 0),
      };
      this.#add(key, template);
    }
    template.count++;
    template.lastSeenMs = seen.atMs;
    this.#carry(template, rules);
    if (seen.process !== undefined && template.processes.size < PROCESSES_MAX)
      template.processes.add(seen.process);
    if (shapeSha256 !== null && template.shapes.size < SHAPES_MAX) {
      template.shapes.add(shapeSha256);
      this.#byShape.set(shapeSha256, template);
    }
    let literal = 0;
    for (const [i, word] of tokens.words.entries()) {
      if (word !== LITERAL) continue;
      const values = template.values[literal++];
      const text = tokens.literals[i];
      if (values && text !== undefined && values.size < VALUES_MAX) values.add(smallHash(text));
    }
    return ok(template);
  }

  #refusalOf(
    { attack, rules, shapeSha256, tokens, dialect }: Observed,
    { vouched }: Seen,
  ): Refusal | undefined {
    if (this.mode !== "learn") return "not-learning";
    if (shapeSha256 === null) return "never-known";
    if (tokens.words.length > TEMPLATE_TOKENS_MAX) return "too-long";
    if (!vouched && attack) return "attack";
    if (!vouched && rules.length > 0) return "signals";
    if (this.#templates.size >= this.#templatesMax && !this.#templates.has(keyOf(dialect, tokens.words)))
      return "full";
    return undefined;
  }

  #add(key: string, template: Template): void {
    this.#templates.set(key, template);
    this.#index[template.dialect].add(template);
    for (const family of familyKeysOf(template))
      this.#families.set(family, [...(this.#families.get(family) ?? []), template]);
    for (const shape of template.shapes) this.#byShape.set(shape, template);
    this.#vocabulary[template.dialect].add(template.words);
    this.#count(template, 1);
  }

  #carry(template: Template, rules: Iterable<string>): void {
    this.#count(template, -1);
    for (const rule of rules) template.rules.add(rule);
    this.#count(template, 1);
  }

  #count({ rules, words }: Template, by: 1 | -1): void {
    const kinds = new Set([...rules].map(kindOf));
    if (words.includes(";")) kinds.add(BATCH);
    for (const kind of kinds) this.#carriers.set(kind, (this.#carriers.get(kind) ?? 0) + by);
  }

  /** Forgets a template by the digest of one of its shapes; true when there was one. */
  revoke(shapeSha256: string): boolean {
    const template = this.#byShape.get(shapeSha256);
    if (!template) return false;
    for (const shape of template.shapes) this.#byShape.delete(shape);
    this.#templates.delete(keyOf(template.dialect, template.words));
    this.#index[template.dialect].remove(template);
    this.#vocabulary[template.dialect].remove(template.words);
    this.#count(template, -1);
    for (const family of familyKeysOf(template)) {
      const left = (this.#families.get(family) ?? []).filter(other => other !== template);
      if (left.length > 0) this.#families.set(family, left);
      else this.#families.delete(family);
    }
    return true;
  }

  /** A template of a reviewed export, beside what was learned here; false: there is no room. */
  adopt(exported: TemplateExport): boolean {
    const words = exported.words.split("\n");
    const key = keyOf(exported.dialect, words);
    const known = this.#templates.get(key);
    if (!known) {
      if (this.#templates.size >= this.#templatesMax) return false;
      this.#add(key, templateOf(exported, words));
      return true;
    }
    this.#carry(known, exported.rules);
    for (const shape of exported.shapes) {
      if (known.shapes.size >= SHAPES_MAX) break;
      known.shapes.add(shape);
      this.#byShape.set(shape, known);
    }
    known.count = Math.max(known.count, exported.count);
    known.valuesBefore = known.values.map((_, i) =>
      Math.max(known.valuesBefore[i] ?? 0, exported.values[i] ?? 0),
    );
    known.processesBefore = Math.max(known.processesBefore, exported.processes);
    return true;
  }

  export(): ProfileExport {
    return {
      kind: "picket-profile-1",
      ...this.identity,
      mode: this.mode,
      locked: this.locked,
      templates: [...this.#templates.values()].map(template => ({
        dialect: template.dialect,
        words: template.words.join("\n"),
        shapes: [...template.shapes],
        rules: [...template.rules],
        count: template.count,
        firstSeenMs: template.firstSeenMs,
        lastSeenMs: template.lastSeenMs,
        processes: processesOf(template),
        values: template.values.map((_, i) => valuesOf(template, i)),
      })),
    };
  }

  static load(exported: ProfileExport, options: Pick<ProfileOptions, "templatesMax"> = {}): Profile {
    const { workload, databaseUser, database, mode, locked } = exported;
    const profile = new Profile({ workload, databaseUser, database }, { mode, locked, ...options });
    for (const template of exported.templates) if (!profile.adopt(template)) break;
    return profile;
  }
}

function templateOf(
  { shapes, rules, values, processes, ...rest }: TemplateExport,
  words: string[],
): Template {
  return {
    ...rest,
    words,
    shapes: new Set(shapes),
    rules: new Set(rules),
    processes: new Set(),
    processesBefore: processes,
    values: values.map(() => new Set<number>()),
    valuesBefore: values,
  };
}

export type ProfileOptions = { mode?: ProfileMode; locked?: boolean; templatesMax?: number };

export const createProfile = (identity: ProfileIdentity, options?: ProfileOptions): Profile =>
  new Profile(identity, options);

/** From a file or the control plane: often wrong, so it returns what is. */
export function loadProfile(
  value: unknown,
  options?: Pick<ProfileOptions, "templatesMax">,
): Result<Profile, string> {
  const parsed = ProfileExport.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return err(`${issue.path.join(".") || "profile"}: ${issue.message}`);
  }
  return ok(Profile.load(parsed.data, options));
}

export const processesOf = ({ processes, processesBefore }: Template): number =>
  Math.max(processes.size, processesBefore);

/** How many values the template's i-th literal was seen with. */
const valuesOf = (template: Template, literal: number): number => valuesOfAll([template], literal);

/** The same for templates of one family together. */
export function valuesOfAll(templates: readonly Template[], literal: number): number {
  const seen = new Set(templates.flatMap(({ values }) => [...(values[literal] ?? [])]));
  const before = Math.max(...templates.map(({ valuesBefore }) => valuesBefore[literal] ?? 0));
  return Math.min(VALUES_MAX, Math.max(seen.size, before));
}

const familyKeysOf = ({ dialect, words }: Template): [columns: string, tables: string] => [
  keyOf(dialect, ["columns", skeletonOf(words)]),
  keyOf(dialect, ["tables", skeletonOf(words, { tables: true })]),
];

function keyOf(dialect: Dialect, words: readonly string[]): string {
  const text = `${dialect}\n${words.join("\n")}`;
  // A long template is kept once, not twice.
  return text.length < 512 ? text : createHash("sha256").update(text).digest("base64");
}

/** 16 bits, so that no value can be told from it. */
function smallHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 16)) & 0xffff;
}
