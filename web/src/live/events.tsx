/** Listens to what changes in the libraries and lets the queries that show it run again. */
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useEffect } from "react";

import { at } from "@/api/path";
import type { Library, LibraryChanged, LibrarySource } from "@/api/types";
import { askAgain } from "@/live/asking-again";

/** Keys of what the page keeps; a change in a library makes the first four stale. */
export const keys = {
  evidence: ["evidence"] as const,
  passage: ["passage"] as const,
  libraries: ["libraries"] as const,
  library: (id: string) => ["library", id] as const,
  questions: (id: string) => ["questions", id] as const,
  models: ["models"] as const,
  whoami: ["whoami"] as const,
  apiKeys: ["api-keys"] as const,
  people: ["people"] as const,
  groups: ["groups"] as const,
  conversations: ["conversations"] as const,
  watches: ["watches"] as const,
  watch: (id: string) => ["watches", id] as const,
  history: (id: string) => ["history", id] as const,
};

/** The browser reconnects by itself after a cut, but not after a refusal. */
const RETRY_MS = 3000;

/** Between two looks at a library that changes all the time. */
const REST_MS = 300;

const HAPPENINGS = ["answered", "changed", "stands", "paused", "resumed"].map(
  (name) => `watch.${name}`,
);

/** Mount once; every connection starts with a fresh look. */
export function LiveEvents() {
  const client = useQueryClient();
  useEffect(() => listen(() => libraryEvents(client)), [client]);
  useEffect(() => listen(() => watchEvents(client)), [client]);
  return null;
}

function libraryEvents(client: QueryClient): EventSource {
  const source = new EventSource(at("/v1/libraries/events"));
  source.addEventListener("open", () => {
    refresh(client);
    askAgain(client, ["library"]); // what changed meanwhile, in any
  });
  source.addEventListener("library.changed", (event) => {
    onChange(client, JSON.parse(event.data as string) as LibraryChanged);
  });
  return source;
}

function watchEvents(client: QueryClient): EventSource {
  const source = new EventSource(at("/v1/watches/events"));
  for (const name of ["open", ...HAPPENINGS]) {
    source.addEventListener(name, () => {
      askAgain(client, keys.watches);
    });
  }
  return source;
}

/** Keeps a connection open; returns what ends it. */
function listen(connect: () => EventSource): () => void {
  let source: EventSource;
  let retry: ReturnType<typeof setTimeout> | undefined;

  const open = () => {
    source = connect();
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
  };

  open();
  return () => {
    clearTimeout(retry);
    source.close();
  };
}

function refresh(client: QueryClient): void {
  askAgain(client, keys.evidence);
  askAgain(client, keys.passage);
  askAgain(client, keys.libraries);
}

function onChange(client: QueryClient, change: LibraryChanged): void {
  const { freshness, library_id: id, sources = [] } = change;
  if (freshness) {
    client.setQueryData<Library[]>(keys.libraries, (libraries) =>
      libraries?.map((one) => (one.id === id ? { ...one, freshness } : one)),
    );
  }
  client.setQueryData<LibrarySource[]>([...keys.library(id), "sources"], (shown) =>
    shown?.map((one) => ({ ...one, ...sources.find((told) => told.id === one.id) })),
  );
  spaced(id, () => {
    refresh(client);
    askAgain(client, keys.library(id));
    askAgain(client, keys.questions(id));
  });
}

const resting = new Map<string, (() => void) | null>();

/** Acts at once, then at most each `REST_MS`: a first sync tells many times a second. */
function spaced(id: string, act: () => void): void {
  if (resting.has(id)) {
    resting.set(id, act);
    return;
  }
  act();
  resting.set(id, null);
  setTimeout(() => {
    const missed = resting.get(id);
    resting.delete(id);
    if (missed) spaced(id, missed);
  }, REST_MS);
}
