/**
 * Whether input could have made what a rule found. Rules say what injections look like; scripts and tests look the
 * same in places where no application pastes anything in. There a rule's word is told and nothing is blocked:
 * administration (CREATE PROCEDURE, EXPLAIN …), since input cannot change how a statement begins, and a statement
 * that touches no table and so gives an attacker nothing that he did not write himself.
 */
import type { Severity } from "@picket/shared/vocabulary";

const administration =
  /^(?:\/\*[^ ]*\*\/ )*(?:create|alter|explain|analyze|merge|declare|comment|grant|revoke|do|prepare|begin|delimiter|show|describe|desc|truncate|refresh|reindex|vacuum)\b/;
const table = /(?:^| )(?:from|into|update|join|table|call|replace|insert|delete)(?: |$)/;
const comment = /(?:^| )\/\*(?:--|#|!)?\*\/(?: |$)/;

export function bears(shape: string, severity: Severity): boolean {
  if (administration.test(shape)) return false;
  // A comment may have swallowed the table.
  return severity === "critical" || table.test(shape) || comment.test(shape);
}
