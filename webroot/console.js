// The console works without this file; it adds the theme, the menu of narrow screens, copying, and
// the focus on what a form refused.
(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = root.dataset.bsTheme; // by the cookie, which the Control Center has read

  const show = (theme) => {
    root.dataset.bsTheme = theme;
  };
  root.classList.add("js");
  if (!chosen) {
    show(dark.matches ? "dark" : "light");
    dark.addEventListener("change", () => show(dark.matches ? "dark" : "light"));
  }

  const toggleTheme = () => {
    const theme = root.dataset.bsTheme === "dark" ? "light" : "dark";
    document.cookie = `theme=${theme}; path=/; max-age=31536000; SameSite=Lax; Secure`;
    show(theme);
  };

  const copy = async (button) => {
    const label = button.querySelector("span");
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(source);
      label.textContent = "Marked: copy it with Ctrl+C";
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelector("[data-theme-toggle]")?.addEventListener("click", toggleTheme);
    for (const button of document.querySelectorAll("[data-copy]"))
      button.addEventListener("click", () => copy(button));
    document.getElementById("errors")?.focus();
  });
})();
