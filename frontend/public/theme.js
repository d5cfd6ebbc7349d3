// The theme that was chosen in this browser; without one the system's holds.
try {
  const theme = localStorage.getItem("fastapi-platform.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is blocked: the system's theme it is.
}
