import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defaultClientConditions, defineConfig } from "vite";

// Everything in files of its own: the page runs under a content security policy that allows neither inline
// scripts and styles nor data: URLs.
export default defineConfig({
  base: "/",
  plugins: [react(), tailwindcss()],
  resolve: { conditions: ["source", ...defaultClientConditions] },
  build: {
    target: ["chrome123", "firefox128", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // What changes with each release apart from what changes with each dependency update.
        codeSplitting: { groups: [{ name: "vendor", test: /node_modules/ }] },
      },
    },
  },
  // `npx vite` for development beside a running control plane.
  server: { proxy: { "/v1": "http://127.0.0.1:7400" } },
});
