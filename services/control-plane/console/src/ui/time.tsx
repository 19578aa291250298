import { absolute, clockTime, relative, useNow } from "./clock.ts";

/** Relative, since that is what an operator asks; absolute in the title and for machines. */
export function Ago({ at }: { at: string }) {
  const text = useNow(nowMs => relative(Date.parse(at), nowMs));
  return (
    <time dateTime={at} title={absolute(at)} className="whitespace-nowrap">
      {text}
    </time>
  );
}

/** For logs, where rows are compared with each other: the clock, with the distance in the title. */
export function Clock({ at }: { at: string }) {
  const today = useNow(nowMs => new Date(at).toDateString() === new Date(nowMs).toDateString());
  return (
    <time dateTime={at} title={absolute(at)} className="whitespace-nowrap">
      {today ? clockTime(at) : <Ago at={at} />}
    </time>
  );
}
