import type { Priority } from "@picket/shared/vocabulary";

/** At least as urgent: P0 is before P3. */
export const worse = (a: Priority, b: Priority): boolean => a <= b;
export const worst = (a: Priority, b: Priority): Priority => (worse(a, b) ? a : b);
