/** The model and the libraries of the next chat; remembered in this browser. */
import { useCallback, useSyncExternalStore } from "react";

const watchers = new Set<() => void>();
const memory = new Map<string, string | null>();

function stored(key: string): string | null {
  if (!memory.has(key)) {
    try {
      memory.set(key, localStorage.getItem(key));
    } catch {
      memory.set(key, null);
    }
  }
  return memory.get(key) ?? null;
}

function store(key: string, value: string): void {
  memory.set(key, value);
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage may be switched off; the choice then lasts as long as the page.
  }
  for (const watcher of watchers) watcher();
}

function subscribe(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** A remembered string, and the function that changes it. */
export function useRemembered(name: string): [string | null, (value: string) => void] {
  const key = `ponant.${name}`;
  const value = useSyncExternalStore(subscribe, () => stored(key));
  const change = useCallback(
    (next: string) => {
      store(key, next);
    },
    [key],
  );
  return [value, change];
}

/** The libraries chosen for the next chat; null until someone chose. */
export function useChosenLibraries(): [string[] | null, (ids: string[]) => void] {
  const [value, change] = useRemembered("libraries");
  const choose = useCallback(
    (ids: string[]) => {
      change(ids.join(" "));
    },
    [change],
  );
  return [value === null ? null : value.split(" ").filter((id) => id !== ""), choose];
}

export function useChosenModel(): [string | null, (id: string) => void] {
  return useRemembered("model");
}
