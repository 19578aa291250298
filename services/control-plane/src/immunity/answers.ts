/** What a node made of shared verdicts; said again, the later word holds. Of verdicts that are gone nothing is kept. */
import type { VerdictAnswers } from "@picket/shared/immunity";
import { sql } from "drizzle-orm";
import { type Ctx, now } from "../context.ts";
import { authorise } from "../identity/policy.ts";
import { theNode } from "../nodes/the-node.ts";

export async function answerVerdicts({ ctx, input }: { ctx: Ctx; input: VerdictAnswers }): Promise<void> {
  authorise(ctx, "agent.answers");
  const node = theNode(ctx);
  const answers = [...new Map(input.answers.map(answer => [answer.verdict, answer])).values()];
  await ctx.db.execute(sql`
    insert into shared_verdict_answers (verdict, node, because, at)
    select id, ${node}::uuid, answer.because, ${now(ctx).toISOString()}::timestamptz
    from rows from (
      unnest(${sql.param(answers.map(({ verdict }) => verdict))}::uuid[]),
      unnest(${sql.param(answers.map(({ because }) => because))}::text[])
    ) as answer (verdict, because)
    join shared_verdicts on id = answer.verdict
    order by id
    on conflict (verdict, node) do update set because = excluded.because, at = excluded.at`);
}
