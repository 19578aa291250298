import { describe, expect, test } from "vitest";
import { objectBytes } from "../../test/objects.ts";
import { BpfMap, BpfObject, probe } from "./index.ts";
import { older } from "./probe.ts";

describe("what the tests beside this one use is found to be there", () => {
  for (const type of ["sk_msg", "sock_ops", "sk_skb", "tracing", "kprobe", "cgroup_skb", "sched_cls"])
    test(`programs of type ${type}`, () => expect(probe.programType(type)).toEqual({ supported: true }));
  for (const type of ["hash", "sockhash", "sk_storage", "ringbuf", "prog_array", "percpu_array"] as const)
    test(`maps of type ${type}`, () => expect(probe.mapType(type)).toEqual({ supported: true }));
  for (const kind of ["cgroup", "sk_msg", "sk_skb", "tp_btf", "iter", "uprobe", "raw_tracepoint"] as const)
    test(`attaching by ${kind}`, () => expect(probe.attach(kind)).toEqual({ supported: true }));
  for (const [type, helper] of [
    ["sk_msg", "bpf_msg_push_data"],
    ["sk_msg", "loop"],
    ["sock_ops", "sock_hash_update"],
  ] as const)
    test(`${helper} in ${type}`, () => expect(probe.helper(type, helper)).toEqual({ supported: true }));
});

describe("what is missing is said in plain words", () => {
  test("a helper that this kind of program never had", () => {
    expect(probe.helper("socket_filter", "bpf_msg_push_data")).toMatchObject({
      supported: false,
      because: expect.stringContaining("bpf_msg_push_data in socket_filter programs"),
    });
  });
  test("a helper of a kind that cannot be asked is not guessed", () => {
    expect(probe.helper("tracing", "bpf_loop").supported).toBe("unknown");
  });
  test("an unknown kernel function", () => {
    expect(probe.kfunc("bpf_no_such_thing")).toMatchObject({ supported: false });
  });
  test("an unknown name is refused, not answered", () => {
    expect(() => probe.programType("nothing")).toThrow(/'nothing'/);
    expect(() => probe.helper("sk_msg", "nothing")).toThrow(/'nothing'/);
    expect(() => probe.attach("nothing" as never)).toThrow(/'nothing'/);
  });
});

test("every attachment is answered, and a refusal has a reason", () => {
  for (const kind of ["fentry", "lsm", "kprobe", "tracepoint", "tcx", "cgroup_skb"] as const) {
    const answer = probe.attach(kind);
    if (answer.supported !== true) expect(answer.because).toMatch(/\w{3}/);
  }
});

test("probing leaves nothing behind", () => {
  const before = BpfMap.create({ name: "a", type: "hash", keySize: 4, valueSize: 4, maxEntries: 1 });
  for (const kind of ["sk_msg", "tp_btf", "iter"] as const) probe.attach(kind);
  before.close();
  // A program loaded now attaches as if nobody had been here.
  const object = BpfObject.open(objectBytes("handles"), { name: "handles" }).load();
  object.program("on_exec").attach().close();
  object.close();
});

for (const [running, wanted, expected] of [
  ["5.15.0-91-generic", "5.17", true],
  ["5.17.0", "5.17", false],
  ["6.1.0-18-cloud-amd64", "5.17", false],
  ["6.1.0", "6.5", true],
  ["10.0", "6.5", false],
] as const)
  test(`${running} is ${expected ? "" : "not "}older than ${wanted}`, () =>
    expect(older(running, wanted)).toBe(expected));
