import { InfraError } from "../process.ts";

// The few calls that the start program makes as the first administrator.

export type Api = {
  url: string;
  token: string;
  call<T>(method: "GET" | "POST" | "PUT" | "DELETE", path: string, body?: unknown): Promise<T>;
};

export function apiAt(url: string, token: string): Api {
  return {
    url,
    token,
    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
      const response = await fetch(new URL(path, url), {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        signal: AbortSignal.timeout(20_000),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (!response.ok)
        throw new InfraError(
          `http-${response.status}`,
          `${method} ${path} answered ${response.status}: ${text}`,
        );
      return (text === "" ? undefined : JSON.parse(text)) as T;
    },
  };
}

export async function answersOk(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    response => response.ok,
    () => false,
  );
}
