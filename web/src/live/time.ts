/** Times as people say them, kept right while they are on the screen. */
import { useSyncExternalStore } from "react";

let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;
const watchers = new Set<() => void>();

function subscribe(watcher: () => void): () => void {
  watchers.add(watcher);
  now = Date.now();
  timer ??= setInterval(tick, 1000);
  return () => {
    watchers.delete(watcher);
    if (watchers.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function tick(): void {
  now = Date.now();
  for (const watcher of watchers) watcher();
}

/** Milliseconds since 1970, renewed each second; one timer serves the page. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

const STEPS: [number, string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];

/** "3 s ago"; a moment of the near future counts as now, since clocks differ. */
export function ago(moment: string, at: number): string {
  return `${span((at - Date.parse(moment)) / 1000)} ago`;
}

/** "15 s", "2 min": the largest unit that fits, rounded down. */
export function span(duration: number): string {
  const seconds = Math.max(0, Math.floor(duration));
  for (const [length, unit] of STEPS) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${seconds} s`;
}

export function day(moment: string): string {
  return new Date(moment).toLocaleDateString("en-GB", {
    day: "numeric",
    month: "long",
    year: "numeric",
  });
}
