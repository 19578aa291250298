import { type ReactNode, useEffect, useId } from "react";

/** A page's name and, in one sentence, how things stand. */
export function PageHead({
  title,
  children,
  aside,
}: {
  title: string;
  children?: ReactNode;
  aside?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Picket`;
  }, [title]);
  return (
    <header className="flex flex-wrap items-end justify-between gap-x-8 gap-y-3 pb-5">
      <div className="min-w-0">
        <h1 className="text-xl font-semibold tracking-tight [overflow-wrap:anywhere]">{title}</h1>
        {children && <div className="mt-0.5 max-w-[80ch] text-soft">{children}</div>}
      </div>
      {aside}
    </header>
  );
}

export function Section({
  title,
  note,
  aside,
  children,
  className = "",
}: {
  title: string;
  /** What the figures below cover. */
  note?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  className?: string;
}) {
  const id = useId();
  return (
    <section aria-labelledby={id} className={`min-w-0 border-t-2 border-ink pt-2 ${className}`}>
      <div className="flex flex-wrap items-baseline justify-between gap-x-4 pb-2">
        <h2 id={id} className="font-semibold">
          {title}
        </h2>
        {aside}
      </div>
      {note && <p className="-mt-1 pb-2 text-sm text-faint">{note}</p>}
      {children}
    </section>
  );
}

/** Wide tables scroll in themselves, never the page; the keyboard reaches them. */
export function Scroll({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard.
    <section aria-label={label} tabIndex={0} className="overflow-x-auto">
      {children}
    </section>
  );
}

export function Facts({ children }: { children: ReactNode }) {
  return (
    <dl className="grid grid-cols-[repeat(auto-fill,minmax(8.5rem,1fr))] gap-x-6 gap-y-3">{children}</dl>
  );
}

export function Fact({ name, children, note }: { name: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-faint">{name}</dt>
      <dd className="[overflow-wrap:anywhere]">
        {children}
        {note && <span className="block text-xs text-faint">{note}</span>}
      </dd>
    </div>
  );
}
