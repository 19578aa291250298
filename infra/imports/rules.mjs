import { posix } from "node:path";
import { specifiers } from "./specifiers.mjs";

// Small and true: a rule here is one that the tree keeps. Paths are repository paths; a workspace
// package resolves to its folder, everything else keeps its own name (node:fs, hono).

const PACKAGES = {
  "@picket/shared": "packages/shared/src",
  "@picket/judge": "packages/judge/src",
  "@picket/native": "packages/native/src",
  "@picket/bpf": "packages/bpf",
  "@picket/cli": "packages/cli/src",
  "@picket/agent": "services/agent/src",
  "@picket/control-plane": "services/control-plane/src",
  "@picket/console": "services/control-plane/console/src",
  "@picket/infra": "infra/src",
  "@picket/demo": "infra/demo/src",
};

/** A thin executable in front of a package picks what it loads. */
const MAY_COMPUTE = /\/bin\//;

const IS_TEST = /\.test\.[cm]?tsx?$|(?:^|\/)(?:test|bench)\//;
const NOUNS = "rules|bundles|nodes|rollouts|detections|certificates|alerts|deliveries|tickets|identity|audit";
const CONTROL_PLANE = "^services/control-plane/src/";

const RULES = [
  {
    from: /^packages\/shared\//,
    to: /^(?:packages|services|infra|test)\/(?!shared\/)/,
    why: "shared is a leaf: it imports none of our packages",
  },
  {
    from: /^packages\/shared\//,
    to: /^node:(?!buffer$|crypto$|util$)|^(?:postgres|ioredis|pino|drizzle-orm|hono)(?:\/|$)/,
    why: "shared does no I/O",
  },
  {
    from: /^(?!packages\/native\/|services\/agent\/src\/capture\/)/,
    to: /^packages\/native\/src\/bpf(?:\/|$)/,
    why: "only services/agent/src/capture loads native/bpf",
  },
  {
    from: /^packages\//,
    to: /^(?:services|infra)\//,
    why: "packages know neither services nor infra",
  },
  {
    from: /^(?!packages\/cli\/)/,
    to: /^packages\/cli\//,
    why: "nothing imports the command",
  },
  {
    from: /^services\/agent\//,
    to: /^(?:services\/control-plane|infra)\//,
    why: "the agent speaks to the control plane by the contract only",
  },
  {
    from: /^services\/control-plane\/src\//,
    to: /^(?:services\/agent|packages\/native|infra)\//,
    why: "the control plane knows the agent by the contract only",
  },
  {
    from: /^services\/control-plane\/console\//,
    to: /^(?:services\/(?!control-plane\/console\/)|packages\/(?!shared\/)|infra)|^node:/,
    except: /vite\.config\.ts$/,
    why: "the page runs in a browser and knows the API's schemas only",
  },
  {
    from: new RegExp(`${CONTROL_PLANE}(?:${NOUNS})/`),
    to: new RegExp(`${CONTROL_PLANE}(?:http|gateway|workers|main)(?:[/.]|$)`),
    why: "verbs are called by http, gateway and workers, never the other way",
  },
  {
    from: new RegExp(`${CONTROL_PLANE}(?:db|queue)/`),
    to: new RegExp(`${CONTROL_PLANE}(?:${NOUNS}|http|gateway|workers|main)(?:[/.]|$)`),
    why: "db and queue lie below the verbs",
  },
  {
    from: new RegExp(`${CONTROL_PLANE}(?:http|gateway|workers|queue|db|${NOUNS})/`),
    to: new RegExp(`${CONTROL_PLANE}main\\.`),
    why: "main is where the arrows start",
  },
  {
    from: /^infra\/demo\/src\/(?!story)/,
    to: /^(?:packages|services)\//,
    why: "the shop knows nothing of Picket",
  },
  {
    from: /^(?!test\/)/,
    to: /^test\//,
    why: "only tests import the tests' helpers",
  },
];

/** @param {{path: string, text: string}} file */
export function violations({ path, text }) {
  const found = [];
  for (const { specifier, line } of specifiers(text)) {
    if (specifier === undefined) {
      if (/^(?:packages|services)\//.test(path) && !IS_TEST.test(path) && !MAY_COMPUTE.test(path)) {
        found.push({ path, line, specifier: "(computed)", why: "a computed import cannot be checked" });
      }
      continue;
    }
    const target = resolveSpecifier(path, specifier);
    for (const { from, to, except, why } of RULES) {
      if (IS_TEST.test(path) || except?.test(path) || !from.test(path) || !to.test(target)) continue;
      found.push({ path, line, specifier, why });
    }
  }
  return found;
}

export function resolveSpecifier(path, specifier) {
  if (specifier.startsWith(".")) return posix.normalize(posix.join(posix.dirname(path), specifier));
  const [scope, name, ...rest] = specifier.split("/");
  const folder = PACKAGES[`${scope}/${name}`];
  return folder === undefined ? specifier : [folder, ...rest].join("/");
}
