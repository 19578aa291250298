/** A request over the control socket that is refused: thrown by a verb, turned into a status in control/server.ts. */
export type RefusalCode =
  | "invalid"
  | "not-found"
  | "conflict"
  | "outside-cgroup"
  | "too-many"
  | "not-enrolled"
  | "already-enrolled"
  | "enrolment-refused"
  | "control-plane-away"
  | "never-known"
  | "not-ready";

export class Refused extends Error {
  override name = "Refused";
  readonly code: RefusalCode;
  constructor(code: RefusalCode, message: string) {
    super(message);
    this.code = code;
  }
}
