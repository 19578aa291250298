import type { RolloutState } from "@picket/shared/api";
import { Tag, type Tone } from "../../ui/badges.tsx";

const tones: Record<RolloutState, Tone> = {
  scheduled: "plain",
  running: "busy",
  paused: "warning",
  complete: "good",
  aborted: "plain",
  "rolling-back": "danger",
  "rolled-back": "plain",
};

export function StateTag({ state }: { state: RolloutState }) {
  return <Tag tone={tones[state]}>{state.replace("-", " ")}</Tag>;
}
