/** The gate's figures in the unit of their signal. */
import type { SignalFinding } from "@picket/shared/api";

export function armText(finding: SignalFinding, side: "canary" | "control"): string {
  const arm = finding[side];
  if (arm === null || arm.of === 0) return "";
  return finding.unit === "nodes" ? `${arm.hits} of ${arm.of}` : valueText(arm.hits / arm.of, finding.unit);
}

export function valueText(value: number | null, unit: SignalFinding["unit"], signed = false): string {
  if (value === null) return "";
  const sign = signed && value > 0 ? "+" : "";
  switch (unit) {
    case "share":
    case "nodes":
      return `${sign}${short(100 * value)} %`;
    case "cores":
      return `${sign}${short(100 * value)} % core`;
    case "bytes":
      return `${sign}${short(value / (1 << 20))} MiB`;
  }
}

/** The wager against the version, and where it is lost. */
export function eValueText({ eValue, threshold }: SignalFinding): string {
  return eValue === null ? "" : `${short(eValue)} of ${short(threshold)}`;
}

/** Three figures; what is beyond a million only by its size. */
function short(value: number): string {
  if (value !== 0 && Math.abs(value) >= 1e6) return `10^${Math.floor(Math.log10(Math.abs(value)))}`;
  return Math.abs(value) < 0.001 ? "0" : String(Number(value.toPrecision(3)));
}
