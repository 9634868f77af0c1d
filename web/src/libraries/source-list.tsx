/** Where a library reads from, and what it sees there. */
import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";

import { api } from "@/api/client";
import type { LibrarySource } from "@/api/types";
import { useLibraryChange } from "@/libraries/queries";
import { StateDot } from "@/libraries/state-dot";
import { keys } from "@/live/events";
import { ago, useNow } from "@/live/time";
import { useIsAdmin } from "@/session/session";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";

export function SourceList({ library }: { library: string }) {
  const admin = useIsAdmin();
  const { data, error } = useQuery({
    queryKey: [...keys.library(library), "sources"],
    queryFn: () => api.libraries.sources(library),
  });
  const removal = useLibraryChange((source: string) => api.libraries.removeSource(library, source));
  return (
    <>
      <ErrorLine error={error ?? removal.error} />
      {data && data.length > 0 ? (
        <ul className="mb-4 divide-y border-y">
          {data.map((source) => (
            <SourceRow
              key={source.id}
              source={source}
              onRemove={admin ? removal.mutate : undefined}
            />
          ))}
        </ul>
      ) : null}
    </>
  );
}

interface SourceRowProps {
  source: LibrarySource;
  onRemove: ((id: string) => void) | undefined;
}

function SourceRow({ source, onRemove }: SourceRowProps) {
  const now = useNow();
  const name = source.config.path ?? source.kind;
  return (
    <li className="flex items-center justify-between gap-4 px-2 py-3">
      <div className="min-w-0">
        <p className="font-mono text-sm [overflow-wrap:anywhere]">{name}</p>
        <p className="mt-1 flex items-center gap-2 text-sm text-quiet tabular-nums">
          <StateDot state={source.state} />
          {sourceWords(source, now)}
        </p>
        {source.message === "" ? null : <p className="mt-1 text-sm">{source.message}</p>}
      </div>
      {onRemove ? (
        <Button
          kind="quiet"
          size="icon"
          aria-label={`Stop reading ${name}`}
          title="Stop reading this folder. Its files stay."
          onClick={() => {
            onRemove(source.id);
          }}
        >
          <X aria-hidden className="size-4" />
        </Button>
      ) : null}
    </li>
  );
}

/** "5 files, 4 read, 1 could not be read, looked 3 s ago". */
export function sourceWords(source: LibrarySource, now: number): string {
  const words = [source.seen === 1 ? "1 file" : `${source.seen} files`, `${source.indexed} read`];
  if (source.failed > 0) words.push(`${source.failed} could not be read`);
  if (source.checked_at) words.push(`looked ${ago(source.checked_at, now)}`);
  return words.join(", ");
}
