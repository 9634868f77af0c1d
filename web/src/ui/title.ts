/** Names the page's tab. */
import { useEffect } from "react";

export function useTitle(title: string | null | undefined): void {
  useEffect(() => {
    document.title = title ? `${title} · Ponant` : "Ponant";
  }, [title]);
}
