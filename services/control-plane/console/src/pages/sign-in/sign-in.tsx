import { useEffect, useId, useState } from "react";
import { useSignIn } from "../../api/changes.ts";
import { ApiError } from "../../api/http.ts";
import { Button } from "../../ui/button.tsx";
import { Mark } from "../../ui/mark.tsx";
import { ThemeChoice } from "../shell/theme-choice.tsx";

function refusal(error: Error): string {
  if (error instanceof ApiError && error.failure.kind === "refused" && error.failure.problem.status === 401)
    return "This token is not known, or it was revoked.";
  return error.message;
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
