import { useQuery } from "@tanstack/react-query";
import { useEffect, useId, useState } from "react";
import { useSignIn } from "../../api/changes.ts";
import { ApiError } from "../../api/http.ts";
import { sso } from "../../api/queries.ts";
import { Button } from "../../ui/button.tsx";
import { Mark } from "../../ui/mark.tsx";
import { ThemeChoice } from "../shell/theme-choice.tsx";

function refusal(error: Error): string {
  if (error instanceof ApiError && error.failure.kind === "refused" && error.failure.problem.status === 401)
    return "This token is not known, or it was revoked.";
  return error.message;
}

/** Why single sign-on came back without anybody signed in (the control plane's word in the address). */
const failures: Record<string, string> = {
  expired: "That sign-in was begun too long ago, or in another browser. Begin again.",
  denied: "The identity provider refused to sign you in.",
  away: "The identity provider does not answer. Try again in a moment.",
  mismatch: "The identity provider's answer does not fit what was asked. Begin again.",
  "no-access": "The identity provider knows you, but nothing here gives you a role. Ask an admin.",
};

function SingleSignOn() {
  const offered = useQuery(sso);
  const failed = new URLSearchParams(location.search).get("sso");
  const there = location.pathname + location.search;
  return (
    <>
      {failed !== null && (
        <p role="alert" className="mt-6 text-sm font-medium text-danger">
          {failures[failed] ?? "Single sign-on failed."}
        </p>
      )}
      {offered.data?.enabled && (
        <a
          href={`/v1/sso/login?${new URLSearchParams({ return: failed === null ? there : "/" })}`}
          className="mt-8 flex min-h-10 items-center justify-center rounded-md border border-ink bg-ink px-3 text-sm font-medium text-sheet hover:border-soft hover:bg-soft"
        >
          Sign in with single sign-on
        </a>
      )}
    </>
  );
}

/** An API token is exchanged for a session cookie that scripts cannot read; the token is not kept here. */
export function SignIn() {
  const signIn = useSignIn();
  const [token, setToken] = useState("");
  const id = useId();
  useEffect(() => {
    document.title = "Sign in · Picket";
    document.getElementById(id)?.focus();
  }, [id]);
  return (
    <main className="grid min-h-dvh content-between justify-items-center bg-ground p-6">
      <div className="justify-self-end">
        <ThemeChoice />
      </div>
      <div className="w-full max-w-sm">
        <div className="flex items-center gap-3">
          <Mark className="size-9" />
          <h1 className="text-2xl font-semibold tracking-tight">Picket</h1>
        </div>
        <SingleSignOn />
        <form
          className="mt-8 flex flex-col gap-2"
          onSubmit={event => {
            event.preventDefault();
            signIn.mutate(token.trim(), { onError: () => document.getElementById(id)?.focus() });
          }}
        >
          <label htmlFor={id} className="font-semibold">
            API token
          </label>
          <input
            id={id}
            name="token"
            type="password"
            autoComplete="off"
            spellCheck={false}
            required
            value={token}
            onChange={event => setToken(event.target.value)}
            aria-invalid={signIn.isError}
            aria-describedby={`${id}-help`}
            placeholder="pkt_…"
            className="min-h-10 rounded-md border border-edge bg-sheet px-3 font-mono leading-8 placeholder:text-faint aria-invalid:border-danger"
          />
          {signIn.isError && (
            <p role="alert" className="text-sm font-medium text-danger">
              {refusal(signIn.error)}
            </p>
          )}
          <Button look="solid" type="submit" className="mt-2 min-h-10" disabled={signIn.isPending}>
            Sign in
          </Button>
          <p id={`${id}-help`} className="mt-3 text-sm text-soft">
            <code>npm start</code> prints one. For another person or machine:
            <code className="mt-1 block overflow-x-auto whitespace-nowrap text-ink">
              picket tokens create --api --role viewer --name anna
            </code>
          </p>
        </form>
      </div>
      <p className="text-xs text-faint">Guards the traffic between applications and their databases.</p>
    </main>
  );
}
