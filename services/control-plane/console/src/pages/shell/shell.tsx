import type { Me } from "@picket/shared/api";
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { createContext, type ReactNode, useContext } from "react";
import { useSignOut } from "../../api/changes.ts";
import { alerts, me, nodes, rollouts } from "../../api/queries.ts";
import { Mark } from "../../ui/mark.tsx";
import { Failed } from "../../ui/states.tsx";
import { count } from "../../ui/words.ts";
import { StopBanner } from "../rollouts/holds.tsx";
import { SignIn } from "../sign-in/sign-in.tsx";
import { LinkBanner, LinkState } from "./link-state.tsx";
import { ThemeChoice } from "./theme-choice.tsx";

const Person = createContext<Me | null>(null);

/** Who is signed in; only inside the shell. */
export function useMe(): Me {
  const person = useContext(Person);
  if (!person) throw new Error("nobody is signed in");
  return person;
}

/** Nobody signed in: the sign-in page in place, so that the address asked for is kept. */
export function Shell() {
  const person = useQuery(me);
  if (person.data)
    return (
      <Person value={person.data}>
        <Frame person={person.data} />
      </Person>
    );
  if (person.data === null) return <SignIn />;
  return (
    <main className="mx-auto max-w-xl p-8">
      {person.isError && <Failed error={person.error} onRetry={() => void person.refetch()} />}
    </main>
  );
}

function Frame({ person }: { person: Me }) {
  const signOut = useSignOut();
  return (
    <div className="min-h-dvh md:grid md:grid-cols-[12.5rem_minmax(0,1fr)]">
      <a
        href="#main"
        className="sr-only bg-ink text-sheet focus:not-sr-only focus:fixed focus:left-2 focus:top-2 focus:z-20 focus:px-3 focus:py-2"
      >
        Skip to the page
      </a>
      <div className="flex items-center justify-between gap-3 border-b border-line bg-sunken px-4 py-2 md:sticky md:top-0 md:h-dvh md:flex-col md:items-stretch md:justify-start md:border-b-0 md:border-r md:px-0 md:py-5">
        <div className="flex items-center gap-4 md:justify-between md:px-4 md:pb-4">
          <Link to="/" className="flex items-center gap-2 no-underline">
            <Mark className="size-6" />
            <span className="text-lg font-semibold tracking-tight">Picket</span>
          </Link>
          <LinkState />
        </div>
        <Nav />
        <div className="flex items-center gap-2 md:mt-auto md:flex-col md:items-stretch md:gap-3 md:px-4">
          <ThemeChoice />
          <div className="flex items-center gap-3 text-xs md:justify-between">
            <span
              className="max-w-36 truncate text-soft max-md:sr-only"
              title={[
                person.name,
                person.role,
                ...Object.entries(person.scope).map(label => label.join("=")),
              ].join(", ")}
            >
              {person.name} <span className="text-faint">{person.role}</span>
            </span>
            <button
              type="button"
              className="text-soft underline decoration-edge underline-offset-3 hover:text-ink"
              disabled={signOut.isPending}
              onClick={() => signOut.mutate()}
            >
              Sign out
            </button>
          </div>
        </div>
      </div>
      <div className="min-w-0 pb-24 md:pb-0">
        <LinkBanner />
        <StopBanner />
        <main id="main" tabIndex={-1} className="mx-auto max-w-[100rem] px-4 py-6 outline-none md:px-8">
          <Outlet />
        </main>
      </div>
    </div>
  );
}

function Nav() {
  const fleet = useQuery(nodes).data;
  const rolling = useQuery(rollouts).data?.items.filter(r => r.state === "running" || r.state === "paused");
  const open = useQuery(alerts).data?.items.filter(alert => alert.state === "open");
  const urgent = open?.some(alert => alert.priority === "P0" || alert.priority === "P1");
  return (
    <nav
      aria-label="Pages"
      className="max-md:fixed max-md:inset-x-0 max-md:bottom-0 max-md:z-10 max-md:border-t max-md:border-line max-md:bg-sunken max-md:pb-[env(safe-area-inset-bottom)]"
    >
      <ul className="grid grid-cols-4 md:grid-cols-1">
        <Entry to="/" name="Overview" />
        <Entry
          to="/nodes"
          name="Nodes"
          count={fleet && count(fleet.items.length)}
          said={fleet && `${fleet.items.filter(n => n.online).length} online`}
        />
        <Entry
          to="/rollouts"
          name="Rollouts"
          count={rolling?.length ? count(rolling.length) : undefined}
          said="not finished"
        />
        <Entry to="/detections" name="Detections" />
        <Entry
          to="/alerts"
          name="Alerts"
          count={open?.length ? count(open.length) : undefined}
          said="open"
          tone={urgent ? "text-danger" : undefined}
        />
        <Entry to="/immunity" name="Immunity" />
        <Entry to="/profiles" name="Profiles" />
        <Entry to="/access" name="Access" />
      </ul>
    </nav>
  );
}

function Entry({
  to,
  name,
  count: figure,
  said,
  tone = "text-faint",
}: {
  to: string;
  name: string;
  count?: ReactNode;
  said?: string | undefined;
  tone?: string | undefined;
}) {
  return (
    <li>
      <Link
        to={to}
        activeOptions={{ exact: to === "/" }}
        className="flex items-baseline justify-center gap-1 px-1 py-2 text-xs no-underline hover:bg-ground md:justify-between md:px-4 md:py-1.5 md:text-base"
        activeProps={{
          className:
            "font-semibold max-md:shadow-[inset_0_2px_0_var(--ink)] md:bg-ground md:shadow-[inset_3px_0_0_var(--ink)]",
        }}
        inactiveProps={{ className: "text-soft" }}
      >
        {name}
        {figure !== undefined && (
          <span title={said} className={`text-xs font-medium ${tone}`}>
            {figure}
            <span className="sr-only"> {said}</span>
          </span>
        )}
      </Link>
    </li>
  );
}
