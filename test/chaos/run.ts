/** `npm run chaos -- [--seed=1] [--rounds=10] [--nodes=30] [--kills=4]`: rollouts under fire, one seed after another. */
import { runChaos } from "./chaos.ts";
import { INVARIANTS } from "./invariants.ts";

const number = (name: string, otherwise: number): number =>
  Number(process.argv.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);

let broken = 0;
const first = number("seed", 1);
for (let seed = first; seed < first + number("rounds", 10); seed++) {
  const outcome = await runChaos({
    seed,
    nodes: number("nodes", 30),
    percents: [10, 30, 100],
    killsPerStep: number("kills", 4),
    mostMs: 300_000,
    say: console.log,
  });
  for (const [sentence, against] of Object.entries(INVARIANTS)) {
    const wrong = await against(outcome);
    broken += wrong.length;
    console.log(`  ${wrong.length === 0 ? "holds" : "BROKEN"}: ${sentence}`);
    for (const what of wrong.slice(0, 5)) console.log(`    ${what}`);
  }
  await outcome.world.stop();
}
process.exitCode = broken > 0 ? 1 : 0;
