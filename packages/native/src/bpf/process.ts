import { native } from "./native.ts";

/** Becomes another program: same process id, same standard input and output. Returns only by throwing. */
export function replaceProcess(path: string, args: readonly string[], env: NodeJS.ProcessEnv): never {
  const texts = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  return native.replaceProcess(path, [...args], texts);
}
