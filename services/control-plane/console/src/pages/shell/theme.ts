/** The system's preference unless one was chosen here; public/theme.js applies the kept one before first paint. */
import { useState } from "react";

export type Theme = "system" | "light" | "dark";
const KEY = "picket.theme";

function kept(): Theme {
  const theme = document.documentElement.dataset.theme;
  return theme === "light" || theme === "dark" ? theme : "system";
}

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [theme, setTheme] = useState(kept);
  return [
    theme,
    next => {
      setTheme(next);
      if (next === "system") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = next;
      try {
        if (next === "system") localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, next);
      } catch {
        // Storage is refused in some private windows: the choice holds until the page is left.
      }
    },
  ];
}
