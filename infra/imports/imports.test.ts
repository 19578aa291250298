// biome-ignore-all lint/suspicious/noTemplateCurlyInString: templates are what these tests feed in.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
// @ts-expect-error Plain JavaScript, like the bootstrap.
import { violations } from "./rules.mjs";
// @ts-expect-error As above.
import { specifiers } from "./specifiers.mjs";

for (const [text, expected] of [
  ['import x from "a";', ["a"]],
  ['import "a";', ["a"]],
  ["import type { A } from \"a\"; import { type B } from 'b'", ["a", "b"]],
  ['import {\n  a,\n  b,\n} from "c";', ["c"]],
  [
    'import x, { y } from "a"; export { z } from "b"; export * as w from "c"; export * from "d";',
    ["a", "b", "c", "d"],
  ],
  ['import data from "a" with { type: "json" };', ["a"]],
  ['const a = await import("a"); import("b").then();', ["a", "b"]],
  ["await import(`a`)", ["a"]],
  ['const a = require("a"); type B = import("b").B;', ["a", "b"]],
  ["await import(name)", [undefined]],
  ["await import(`a/${name}`)", [undefined]],
  ['// import "a"\n/* import "b" */ const text = \'import "c"\';', []],
  ['const text = `import "a" ${ b + `import "c"` } from "d"`;', []],
  ['const r = /import "a"/; const q = 4 / 2; import "b"; const s = /["\'`]/; import "c";', ["b", "c"]],
  ['`${await import("a")}`', ["a"]],
  ['Array.from("a"); db.select().from("b"); loader.import("c"); it.require("d")', []],
  ["import.meta.url; const from = 1;", []],
  ['const a = `$ {`; const b = { c: `}` }; import "d"', ["d"]],
] as const) {
  test(`finds ${JSON.stringify(expected)} in ${text}`, () => {
    expect(specifiers(text).map((one: { specifier: string }) => one.specifier)).toEqual(expected);
  });
}

test("a specifier is found at its line", () => {
  expect(specifiers('/* one\n two */\nimport {\n a } from "b"')).toEqual([{ specifier: "b", line: 4 }]);
});

for (const [path, specifier, why] of [
  ["packages/shared/src/ids.ts", "@picket/judge/check", "leaf"],
  ["packages/shared/src/ids.ts", "../../judge/src/check.ts", "leaf"],
  ["packages/shared/src/ids.ts", "node:fs", "no I/O"],
  ["services/agent/src/pipeline.ts", "@picket/native/bpf", "only services/agent/src/capture"],
  ["packages/cli/src/doctor.ts", "../../native/src/bpf/index.ts", "only services/agent/src/capture"],
  ["packages/judge/src/check.ts", "@picket/agent/pipeline", "packages know neither"],
  ["services/agent/src/uplink/http.ts", "@picket/control-plane/nodes/enrol", "by the contract only"],
  ["services/control-plane/src/nodes/enrol.ts", "@picket/agent/pipeline", "by the contract only"],
  ["services/control-plane/src/nodes/enrol.ts", "../http/route.ts", "never the other way"],
  ["services/control-plane/src/alerts/raise.ts", "../workers/index.ts", "never the other way"],
  ["services/control-plane/src/db/schema.ts", "../nodes/enrol.ts", "below the verbs"],
  ["services/control-plane/console/src/main.tsx", "@picket/control-plane/config", "runs in a browser"],
  ["services/control-plane/console/src/main.tsx", "node:fs", "runs in a browser"],
  ["infra/demo/src/shop.ts", "@picket/shared/ids", "knows nothing of Picket"],
  ["services/agent/src/main.ts", "../../../test/harness/index.ts", "only tests"],
] as const) {
  test(`${path} may not import ${specifier}`, () => {
    const [found, ...more] = violations({ path, text: `import { x } from "${specifier}";` });
    expect([found?.why, more]).toEqual([expect.stringContaining(why), []]);
  });
}

for (const [path, specifier] of [
  ["services/agent/src/capture/kernel.ts", "@picket/native/bpf"],
  ["services/agent/src/capture/kernel.test.ts", "@picket/native/bpf"],
  ["test/journeys/wire.test.ts", "@picket/native/bpf"],
  ["packages/judge/src/shape.ts", "@picket/native/lexer"],
  ["services/control-plane/src/http/nodes.ts", "../nodes/enrol.ts"],
  ["services/control-plane/src/rollouts/advance.ts", "../nodes/list.ts"],
  ["services/control-plane/src/nodes/enrol.ts", "../db/schema.ts"],
  ["services/control-plane/console/src/main.tsx", "@picket/shared/api"],
  ["packages/shared/src/bundle.ts", "node:crypto"],
  ["infra/demo/src/databases.ts", "@picket/infra/databases"],
] as const) {
  test(`${path} may import ${specifier}`, () => {
    expect(violations({ path, text: `import { x } from "${specifier}";` })).toEqual([]);
  });
}

test("the program fails on a tree with one bad import, names its line, and passes without it", () => {
  const root = mkdtempSync(join(tmpdir(), "picket-test-imports-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const run = () =>
    spawnSync(process.execPath, [join(import.meta.dirname, "../check-imports.mjs"), root], {
      encoding: "utf8",
    });
  try {
    expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining("No source file") });
    write("packages/shared/src/ids.ts", 'export * from "zod";\n');
    expect(run()).toMatchObject({ status: 0, stdout: "1 files, 0 imports against the rules\n" });
    write("packages/shared/src/bad.ts", '\nimport { open } from "node:fs";\n');
    expect(run()).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('packages/shared/src/bad.ts:2: imports "node:fs": shared does no I/O'),
    });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
