import { type Counts, pales } from "./pales.ts";
import { count, guarantees, joined } from "./words.ts";

/** Connections by guarantee as a row of pales, as high as what holds; read out as numbers. */
export function Fence({
  counts,
  total,
  palesMax,
  className,
}: {
  counts: Counts;
  total: number;
  palesMax: number;
  className: string;
}) {
  const { of } = pales(counts, total, palesMax);
  const said = guarantees.filter(kind => counts[kind]).map(kind => `${count(counts[kind] ?? 0)} ${kind}`);
  const label = total === 0 ? "No database connections" : `${joined(said)} of ${count(total)} connections`;
  return (
    <div role="img" aria-label={label} title={label} className={`fence ${className}`}>
      {of.flatMap(({ kind, count: n }) =>
        Array.from({ length: n }, (_, i) => <i key={`${kind}${i}`} className={`pale pale-${kind}`} />),
      )}
    </div>
  );
}
