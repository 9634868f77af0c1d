// Sets the theme before the first paint; a file of its own because the content policy allows no inline script.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem("ponant.theme");
  } catch {
    // Storage may be switched off; the system's theme then decides.
  }
  var dark =
    chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
