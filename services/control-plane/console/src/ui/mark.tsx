export function Mark({ className }: { className: string }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" className={className}>
      <path d="M3 22V7l2-3 2 3v15zM10 22V5l2-3 2 3v17zM17 22V7l2-3 2 3v15z" className="fill-ink" />
      <path d="M1 13h22v2H1z" className="fill-prevented-fill" />
    </svg>
  );
}
