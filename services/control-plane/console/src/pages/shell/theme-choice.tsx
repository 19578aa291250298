import { type Theme, useTheme } from "./theme.ts";

const themes: { theme: Theme; name: string; path: string }[] = [
  {
    theme: "system",
    name: "As the system",
    path: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 1.5v9a4.5 4.5 0 0 1 0-9z",
  },
  {
    theme: "light",
    name: "Light",
    path: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM7.3.8h1.4v2.4H7.3zM7.3 12.8h1.4v2.4H7.3zM.8 7.3h2.4v1.4H.8zM12.8 7.3h2.4v1.4h-2.4zM2.4 3.4l1-1 1.7 1.7-1 1zM10.9 11.9l1-1 1.7 1.7-1 1zM3.4 13.6l-1-1 1.7-1.7 1 1zM11.9 5.1l-1-1 1.7-1.7 1 1z",
  },
  { theme: "dark", name: "Dark", path: "M6.2 2a6.2 6.2 0 1 0 7.8 7.8A5.4 5.4 0 0 1 6.2 2z" },
];

export function ThemeChoice() {
  const [theme, setTheme] = useTheme();
  return (
    <fieldset className="flex">
      <legend className="sr-only">Theme</legend>
      {themes.map(each => (
        <label
          key={each.theme}
          title={each.name}
          className="grid size-7 cursor-pointer place-items-center rounded-sm text-faint has-checked:bg-ground has-checked:text-ink has-focus-visible:outline-2 has-focus-visible:outline-focus"
        >
          <input
            type="radio"
            name="theme"
            className="sr-only"
            checked={theme === each.theme}
            onChange={() => setTheme(each.theme)}
          />
          <svg viewBox="0 0 16 16" aria-hidden="true" className="size-3.5 fill-current">
            <path d={each.path} />
          </svg>
          <span className="sr-only">{each.name}</span>
        </label>
      ))}
    </fieldset>
  );
}
