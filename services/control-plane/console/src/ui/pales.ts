/** How many pales of a fence stand for each guarantee. */
import type { Guarantee } from "@picket/shared/vocabulary";
import { guarantees } from "./words.ts";

export type Counts = Partial<Record<Guarantee, number>>;
export interface Pales {
  /** In the order of `guarantees`, then what no report speaks of. */
  of: { kind: Guarantee | "untold"; count: number }[];
  /** Connections that one pale stands for; 1: each pale is one connection. */
  each: number;
}

/**
 * Largest remainder, but whatever is there gets at least one pale: twelve unseen connections in ten thousand
 * must not disappear from the picture.
 */
export function pales(counts: Counts, total: number, palesMax: number): Pales {
  const parts = guarantees.map(kind => ({ kind: kind as Guarantee | "untold", exact: counts[kind] ?? 0 }));
  const told = parts.reduce((sum, part) => sum + part.exact, 0);
  const whole = Math.max(total, told);
  parts.push({ kind: "untold", exact: whole - told });
  if (whole <= palesMax)
    return { of: parts.filter(p => p.exact > 0).map(p => ({ kind: p.kind, count: p.exact })), each: 1 };

  const scaled = parts
    .filter(part => part.exact > 0)
    .map(part => {
      const share = (part.exact / whole) * palesMax;
      return { kind: part.kind, count: Math.max(1, Math.floor(share)), rest: share - Math.floor(share) };
    });
  let free = palesMax - scaled.reduce((sum, part) => sum + part.count, 0);
  for (const part of scaled.toSorted((a, b) => b.rest - a.rest)) {
    if (free <= 0) break;
    part.count++;
    free--;
  }
  for (; free < 0; free++) scaled.reduce((a, b) => (b.count > a.count ? b : a)).count--;
  return { of: scaled.map(({ kind, count }) => ({ kind, count })), each: whole / palesMax };
}
