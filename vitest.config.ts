import { defineConfig } from "vitest/config";

// The kernel, the databases and Redis are real and shared by the suites: files run one after another.
export default defineConfig({
  resolve: { conditions: ["source"] },
  // "import" must not be named here: it would reach Node for require() too, and pg would load half as ESM.
  ssr: { resolve: { conditions: ["source", "node"] } },
  test: {
    include: ["packages/**/*.test.ts", "services/**/*.test.ts", "infra/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**"],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
