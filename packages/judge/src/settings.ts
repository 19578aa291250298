/**
 * How connections are to be run, compiled: what a rule set says for all, and the profiles that differ. The first
 * profile that surely fits decides; while user or database of a connection are not known, what holds for all does.
 */
import type { RuleSet } from "@picket/shared/rule-set";
import { bytesOf, type DriftSettings, type HoldSettings } from "@picket/shared/rule-settings";
import { durationMs } from "@picket/shared/vocabulary";
import { type CompiledMatch, type Context, compileMatch } from "./match.ts";

export type Drift = {
  mode: DriftSettings["mode"];
  locked: boolean;
  learnForMs: number;
  learnStatements: number;
};

export type Hold = {
  mode: HoldSettings["mode"];
  deadlineMs: number;
  onFailure: HoldSettings["onFailure"];
  maxHeldBytes: number;
  consult: HoldSettings["consult"];
};

export type Profile = { match: CompiledMatch | null; drift: Drift; hold: Hold };

export type CompiledSettings = {
  /** For what no profile fits. */
  drift: Drift;
  hold: Hold;
  /** In the order of the file. */
  profiles: readonly Profile[];
};

export function compileSettings({ spec }: RuleSet): CompiledSettings {
  return {
    drift: driftOf(spec.drift),
    hold: holdOf(spec.hold),
    profiles: spec.profiles.map(({ match, drift, hold }) => ({
      match: compileMatch([match]),
      drift: driftOf(changed(spec.drift, drift)),
      hold: holdOf(changed(spec.hold, hold)),
    })),
  };
}

export function settingsFor(settings: CompiledSettings, context: Context): { drift: Drift; hold: Hold } {
  const { drift, hold } =
    settings.profiles.find(({ match }) => !match || match.applies(context) === "yes") ?? settings;
  return { drift, hold };
}

type Given<T> = { [K in keyof T]?: T[K] | undefined };

function changed<T extends object>(all: T, own: Given<T> = {}): T {
  return { ...all, ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)) };
}

const driftOf = ({ learnFor, ...rest }: DriftSettings): Drift => ({
  ...rest,
  learnForMs: durationMs(learnFor),
});

const holdOf = ({ deadline, maxHeldBytes, ...rest }: HoldSettings): Hold => ({
  ...rest,
  deadlineMs: durationMs(deadline),
  maxHeldBytes: bytesOf(maxHeldBytes),
});
