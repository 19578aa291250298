import { readFileSync } from "node:fs";
import { Kernel } from "./capture/kernel.ts";
import { startMariaDB } from "@picket/infra/databases";
import { inCgroup, makeCgroup } from "@picket/infra/cgroup";
import { once } from "node:events";

const cg = makeCgroup(`picket-test-agent-${process.pid}`);
const db = await startMariaDB({});
const dist = "/work/main/packages/bpf/dist/";
const t0 = performance.now();
const kernel = await Kernel.open({ dispatcher: readFileSync(dist + "dispatcher.bpf.o"), pins: `/sys/fs/bpf/picket-try-${process.pid}`, cgroupPath: cg.path, takeOver: false, sameDispatcher: false, streamVerdict: true });
console.log("dispatcher loaded", performance.now() - t0, kernel.object.programs.map(p => p.name));
try {
  const slot = await kernel.loadSlot({ object: readFileSync(dist + "slot.bpf.o"), index: 0, ordinal: 1, hashKey: 0x1234567890abcdefn, hashStart: 5n, rules: ["union"] });
  console.log("slot loaded", performance.now() - t0);
  kernel.place(slot);
  kernel.switchTo({ stable: 0, candidate: 0, share: 10_000, newProcessesOnly: false });
  kernel.workloads.setCgroup(cg.id, { id: 1, mode: "enforce" });
  kernel.read(e => console.log(e.kind === "statement" ? { ...e, text: e.text.toString() } : e), () => {}, console.error);
  kernel.attach();
  const c = inCgroup(cg.path, ["mariadb", "--no-defaults", "--skip-ssl", `-h127.0.0.1`, `-P${db.port}`, `-u${db.user}`, `-p${db.password}`, "-e", "select 1; select 'x' union select user from mysql.user; select 2"], { stdio: "inherit" });
  await once(c, "exit");
  await new Promise(r => setTimeout(r, 300));
  console.log(slot.counters(), kernel.losses(), kernel.events(), kernel.enrolled());
  slot.close();
} catch (e) { console.log(e); }
console.log(await kernel.close({ keep: false }));
await db.stop(); await cg.remove();
