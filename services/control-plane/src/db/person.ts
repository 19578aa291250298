import type { Role } from "@picket/shared/api";
import type { Labels } from "@picket/shared/vocabulary";

/** Who signed in, as the identity provider vouches for. */
export interface Person {
  /** Shown, audited, and what four eyes are told apart by: of the provider, so nobody chooses it here. */
  name: string;
  subject: string;
  role: Role;
  scope: Labels;
}
