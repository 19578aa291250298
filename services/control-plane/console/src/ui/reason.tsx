/** What a person types before something that concerns everybody: the deed waits for it, and it is shown with it. */
export function Reason({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <label className="mt-3 block text-sm font-medium text-ink">
      Why
      <input
        className="mt-1 block min-h-8 w-full rounded-md border border-edge bg-sheet px-2 text-base font-normal"
        value={value}
        maxLength={500}
        onChange={event => onChange(event.target.value)}
      />
    </label>
  );
}
