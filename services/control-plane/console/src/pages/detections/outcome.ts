/** What a detection may claim, and what a list shows of it. Pure. */
import type { DetectionRow } from "@picket/shared/api";
import type { Detection, StatementDetection } from "@picket/shared/detection";
import type { Guarantee } from "@picket/shared/vocabulary";
import { statementMeaning } from "../../ui/words.ts";

/**
 * A statement was stopped only where its rule asked for it and its workload is enforced; a report that says
 * `prevented` of anything else speaks of its connection. The weaker word is shown.
 */
export function claimed({ guarantee, action, wouldBlock }: StatementDetection): Guarantee {
  switch (guarantee) {
    case "prevented":
    case "severed":
      return action === "block" && !wouldBlock ? guarantee : "observed";
    case "observed":
    case "unseen":
      return guarantee;
  }
}

export function outcome(detection: StatementDetection): string {
  const said = statementMeaning[claimed(detection)];
  if (detection.wouldBlock)
    return `${said} Enforced, it would have been blocked: this workload is only observed.`;
  if (claimed(detection) === "observed" && detection.action !== "block")
    return `${said} Its rules ask to ${detection.action}, not to block.`;
  if (claimed(detection) === "observed")
    return `${said} It was judged after it had been sent; the next of its shape is met by the kernel.`;
  return said;
}

/** One line for what is not a statement. */
export function headline(detection: Exclude<Detection, StatementDetection>): string {
  switch (detection.kind) {
    case "connection":
      return `Connection ${connectionWord[detection.what]}: ${detection.why}`;
    case "handshake":
      return `TLS handshake with ${detection.host}:${detection.port} failed: ${detection.error}`;
    case "certificate": {
      const { certificate, host, port, handshake, priority } = detection;
      if (priority === null) return `Certificate of ${host}:${port} is in order`;
      if (!certificate)
        return `No certificate seen at ${host}:${port}: ${detection.error ?? "the handshake failed"}`;
      const expiry = `${certificate.notAfter.slice(0, 10)}`;
      return `Certificate of ${host}:${port} ends ${expiry}; its handshake ${handshake}`;
    }
  }
}

const connectionWord = {
  unseen: "unseen",
  refused: "refused",
  reset: "reset",
  "framing-lost": "no longer followed",
  "local-override": "under a local override",
  "shape-mismatch": "judged by another statement's shape",
} as const;

export const views = ["all", "attack", "probe", "would-block", "connections", "certificates"] as const;
export type View = (typeof views)[number];

export function matches(row: DetectionRow, view: View, text: string): boolean {
  return inView(row.detection, view) && (text === "" || searchable(row).includes(text.toLowerCase()));
}

function inView(detection: Detection, view: View): boolean {
  switch (view) {
    case "all":
      return true;
    case "attack":
    case "probe":
      return detection.kind === "statement" && detection.verdict === view;
    case "would-block":
      return detection.kind === "statement" && detection.wouldBlock;
    case "connections":
      return detection.kind === "connection" || detection.kind === "handshake";
    case "certificates":
      return detection.kind === "certificate" || detection.kind === "handshake";
  }
}

function searchable({ hostname, detection }: DetectionRow): string {
  const own =
    detection.kind === "statement"
      ? [
          detection.sql,
          ...detection.rules,
          ...detection.danger,
          detection.process.comm,
          detection.process.workload,
        ]
      : [headline(detection)];
  return [hostname, detection.causalKey, ...own].join("\n").toLowerCase();
}
