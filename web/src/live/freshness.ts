/** How a library stands to its sources, in words. */
import type { Freshness, Library } from "@/api/types";
import { ago } from "@/live/time";

/** "in step, 3 s ago", "reading 4 documents" or what went wrong. */
export function freshnessWords(freshness: Freshness, now: number): string {
  switch (freshness.state) {
    case "in_step":
      return `in step, ${ago(freshness.as_of, now)}`;
    case "syncing":
      return freshness.pending > 0 ? `reading, ${freshness.pending} to go` : "reading";
    case "error":
      return freshness.message === "" ? "not in step" : freshness.message;
  }
}

/** The same without the seconds, for a name that must hold still. */
export function freshnessName(library: Library): string {
  const words = { in_step: "in step", syncing: "reading", error: "not in step" };
  return `${library.name}, ${words[library.freshness.state]}`;
}
