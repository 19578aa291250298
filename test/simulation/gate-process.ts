/** Plays runs of the gate's simulation in a process of its own, one after the other (bench/gate.ts). */
import { rollout, soak, type World } from "./gate.ts";

export interface Task {
  play: "soak" | "rollout";
  world: World;
  seed: number;
}

process.on("message", ({ play, world, seed }: Task) => {
  process.send!(play === "soak" ? soak(world, seed) : rollout(world, seed));
});
