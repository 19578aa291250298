// Applies the kept theme before the first paint. A file of its own and not a module: the content security
// policy allows no inline script, and a module would run after the first paint.
(() => {
  try {
    const theme = localStorage.getItem("picket.theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is refused in some private windows: the system's preference holds.
  }
})();
