/** The state of the fleet in plain words. Pure, so that what the page claims is tested. */
import { count, joined, plural } from "../../ui/words.ts";
import type { Fleet } from "../nodes/fleet.ts";

export function coverageHeadline(fleet: Fleet): string {
  const { prevented } = fleet.guarantees;
  if (fleet.nodes === 0) return "No host is guarded yet.";
  if (fleet.online === 0) return "No node reports: nothing is known of any connection.";
  if (fleet.connections === 0) return "No database connection is open.";
  if (prevented === fleet.connections)
    return fleet.connections === 1
      ? "What the rules block is stopped on the one database connection there is."
      : `What the rules block is stopped on all ${count(fleet.connections)} database connections.`;
  if (prevented === 0)
    return fleet.connections === 1
      ? "Nothing would be stopped on the one database connection there is."
      : `Nothing would be stopped on any of ${count(fleet.connections)} database connections.`;
  return `What the rules block is stopped on ${count(prevented)} of ${count(fleet.connections)} database connections.`;
}

export function coverageRest(fleet: Fleet): string {
  const { severed, observed, unseen } = fleet.guarantees;
  const parts = [
    ...(severed > 0 ? [`${count(severed)} can only be cut once a statement is under way`] : []),
    ...(observed > 0 ? [`${count(observed)} ${observed === 1 ? "is" : "are"} watched only`] : []),
    ...(unseen > 0 ? [`${count(unseen)} cannot be seen`] : []),
    ...(fleet.untold > 0 ? [`nothing is told of ${count(fleet.untold)}`] : []),
  ];
  const said = joined(parts);
  return said === "" ? "" : `${said[0]?.toUpperCase()}${said.slice(1)}.`;
}

/** Whose word it is. */
export function coverageSource(fleet: Fleet): string {
  if (fleet.nodes === 0) return "";
  if (fleet.online === fleet.nodes)
    return fleet.nodes === 1 ? "As the one node reports." : `As all ${count(fleet.nodes)} nodes report.`;
  const silent = fleet.silent.slice(0, 3).map(node => node.hostname);
  const more = fleet.silent.length - silent.length;
  const names = joined(more > 0 ? [...silent, plural(more, "other")] : silent);
  const verb = fleet.silent.length === 1 ? "is" : "are";
  return `As ${count(fleet.online)} of ${plural(fleet.nodes, "node")} report; ${names} ${verb} silent and not counted.`;
}
