/** What the page knows of watches, and which of them changed since somebody last looked. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";

import { api } from "@/api/client";
import type { Watch } from "@/api/types";
import { useRemembered } from "@/chat/choices";
import { keys } from "@/live/events";

export function useWatches() {
  return useQuery({ queryKey: keys.watches, queryFn: api.watches.list });
}

/** A change to a watch, after which everything that shows one is asked for again. */
export function useWatchChange<Input, Result>(change: (input: Input) => Promise<Result>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSettled: () => client.invalidateQueries({ queryKey: keys.watches }),
  });
}

/** When somebody last looked at the watches, and the function that notes it. */
export function useLooked(): [string, () => void] {
  const [looked, change] = useRemembered("watches-looked-at");
  const look = useCallback(() => {
    change(new Date().toISOString());
  }, [change]);
  return [looked ?? "", look];
}

export function isNews(watch: Watch, looked: string): boolean {
  return watch.changed_at !== null && Date.parse(watch.changed_at) > Date.parse(looked || "1970");
}

/** "2 answers changed", or null where nothing did. */
export function useWatchNews(): string | null {
  const { data } = useWatches();
  const [looked] = useLooked();
  const count = (data ?? []).filter((watch) => isNews(watch, looked)).length;
  if (count === 0) return null;
  return count === 1 ? "1 answer changed" : `${count} answers changed`;
}
