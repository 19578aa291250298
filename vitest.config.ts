import { defineConfig } from "vitest/config";

const folders = (...names: string[]) => names.map(name => `${name}/**/*.test.ts`);

/** Each file brings its own PostgreSQL, Redis, control plane and browser, or nothing at all: two run at a time. */
const together = [
  ...folders("packages/judge", "packages/shared", "services/control-plane", "test/chaos", "test/fuzz"),
  "packages/cli/src/cli.test.ts",
  "packages/cli/test/control-plane.test.ts",
  "packages/cli/test/fleet.test.ts",
];
const browser = folders("test/browser");

export default defineConfig({
  resolve: { conditions: ["source"] },
  // "import" must not be named here: it would reach Node for require() too, and pg would load half as ESM.
  ssr: { resolve: { conditions: ["source", "node"] } },
  test: {
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: { name: "together", include: together, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: "browser",
          include: browser,
          globalSetup: "test/browser/build-console.ts",
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          // The kernel, its cgroups and the host's databases are shared: one after another.
          name: "alone",
          include: folders("packages", "services", "infra", "test"),
          exclude: ["**/node_modules/**", "**/dist/**", ...together, ...browser],
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
