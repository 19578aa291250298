import type { TwinFindings } from "@picket/shared/api";
import type { TwinDifferenceKind, TwinWord } from "@picket/shared/twin";
import { Tag, type Tone } from "../../ui/badges.tsx";
import { Fact, Facts, Scroll, Section } from "../../ui/layout.tsx";
import { Sql } from "../../ui/sql.tsx";
import { count, percent, plural } from "../../ui/words.ts";

const kinds: Record<TwinDifferenceKind, { says: string; tone: Tone }> = {
  "would-block": { says: "would block", tone: "danger" },
  "would-pass": { says: "would let pass", tone: "danger" },
  otherwise: { says: "judges otherwise", tone: "warning" },
};

/** What the version would do otherwise than what enforces, over the same statements. */
export function Twin({ twin }: { twin: TwinFindings }) {
  const { nodes, statements, compared, differences } = twin;
  return (
    <Section
      title="What the twin would do otherwise"
      note={
        nodes === 0
          ? "No node has told yet."
          : `${count(compared)} of ${plural(statements, "statement")} compared (${percent(compared, statements)}), on ${plural(nodes, "node")}.`
      }
    >
      <div className="flex flex-col gap-4">
        <Facts>
          <Fact name="Would block" note="pass now">
            {count(twin.wouldBlock)}
          </Fact>
          <Fact name="Would let pass" note="are blocked now">
            {count(twin.wouldPass)}
          </Fact>
          <Fact name="Judges otherwise" note="blocks neither more nor less">
            {count(twin.otherwise)}
          </Fact>
        </Facts>
        {differences.length > 0 && (
          <Scroll label="Differences">
            <table className="table-log text-sm">
              <thead>
                <tr>
                  <th>The twin</th>
                  <th className="number">Statements</th>
                  <th>Now</th>
                  <th>By it</th>
                  <th>Statement</th>
                </tr>
              </thead>
              <tbody>
                {differences.map(each => (
                  <tr
                    key={`${each.kind} ${each.dialect} ${each.shape ?? each.sql} ${word(each.stable)} ${word(each.candidate)}`}
                  >
                    <td>
                      <Tag tone={kinds[each.kind].tone}>{kinds[each.kind].says}</Tag>
                    </td>
                    <td className="number whitespace-nowrap">
                      {count(each.count)}
                      <span className="block text-xs text-faint">{plural(each.nodes, "node")}</span>
                    </td>
                    <td>
                      <Word word={each.stable} />
                    </td>
                    <td>
                      <Word word={each.candidate} />
                    </td>
                    <td className="min-w-64 [overflow-wrap:anywhere]">
                      <Sql sql={each.sql} />
                      <span className="block text-xs text-faint">
                        {each.dialect === "pg" ? "PostgreSQL" : "MySQL"}
                        {each.workload && `, ${each.workload}`}
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
        {twin.unlisted > 0 && (
          <p className="text-sm text-faint">{plural(twin.unlisted, "further difference")} not listed.</p>
        )}
      </div>
    </Section>
  );
}

const word = ({ verdict, action }: TwinWord): string => `${verdict}, ${action}`;

function Word({ word: said }: { word: TwinWord }) {
  return (
    <span className="whitespace-nowrap">
      {word(said)}
      {said.rule && <span className="block text-xs text-faint">{said.rule}</span>}
    </span>
  );
}
