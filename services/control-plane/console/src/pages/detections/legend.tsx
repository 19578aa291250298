import { GuaranteeBadge } from "../../ui/badges.tsx";
import { guarantees, statementMeaning } from "../../ui/words.ts";

export function Legend() {
  return (
    <details className="mt-6 border-t border-line pt-2 text-sm" open>
      <summary className="w-fit text-soft">What the four words promise</summary>
      <dl className="mt-2 grid gap-x-6 gap-y-1 sm:grid-cols-2 lg:grid-cols-4">
        {guarantees.map(guarantee => (
          <div key={guarantee}>
            <dt>
              <GuaranteeBadge guarantee={guarantee} meaning={statementMeaning[guarantee]} />
            </dt>
            <dd className="text-soft">{statementMeaning[guarantee]}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
