/** Light, dark, or as the system has it. public/theme.js applies the same choice before the first paint. */
import { useEffect } from "react";

import { useRemembered } from "@/chat/choices";

export type Theme = "system" | "light" | "dark";

export const THEMES: { value: Theme; name: string }[] = [
  { value: "system", name: "As the system" },
  { value: "light", name: "Light" },
  { value: "dark", name: "Dark" },
];

export function useTheme(): [Theme, (theme: Theme) => void] {
  const [value, change] = useRemembered("theme");
  return [THEMES.find((one) => one.value === value)?.value ?? "system", change];
}

/** Mount once: keeps the page in the chosen theme, and in step with the system's. */
export function ThemeKeeper() {
  const [theme] = useTheme();
  useEffect(() => {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const show = () => {
      const dark = theme === "dark" || (theme === "system" && system.matches);
      document.documentElement.dataset.theme = dark ? "dark" : "light";
    };
    show();
    system.addEventListener("change", show);
    return () => {
      system.removeEventListener("change", show);
    };
  }, [theme]);
  return null;
}
