/** Where a library reads from, what it sees there, and how far the reading has come. */
import { useQuery } from "@tanstack/react-query";
import { RotateCw, X } from "lucide-react";

import { api } from "@/api/client";
import type { LibrarySource } from "@/api/types";
import { useLibraryChange } from "@/libraries/queries";
import { Bar } from "@/libraries/reading-progress";
import { kindWords, placeWords, sourceWords, total } from "@/libraries/source-words";
import { StateDot } from "@/libraries/state-dot";
import { keys } from "@/live/events";
import { useNow } from "@/live/time";
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
  const retrial = useLibraryChange((source: string) => api.libraries.retrySource(library, source));
  return (
    <>
      <ErrorLine error={error ?? removal.error ?? retrial.error} />
      {data && data.length > 0 ? (
        <ul aria-label="Sources" className="mb-4 divide-y border-y">
          {data.map((source) => (
            <SourceRow
              key={source.id}
              source={source}
              onRemove={admin ? removal.mutate : undefined}
              onRetry={admin ? retrial.mutate : undefined}
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
  onRetry: ((id: string) => void) | undefined;
}

function SourceRow({ source, onRemove, onRetry }: SourceRowProps) {
  const place = placeWords(source);
  const kind = kindWords(source.kind);
  return (
    <li className="flex items-center justify-between gap-4 px-2 py-3">
      <div className="min-w-0 flex-1">
        <p className="text-sm [overflow-wrap:anywhere]">
          {place === kind ? null : <span className="text-quiet">{kind} </span>}
          <span className="font-mono">{place}</span>
        </p>
        <SourceState source={source} place={place} />
        {source.message === "" ? null : <p className="mt-1 text-sm">{source.message}</p>}
      </div>
      {onRetry && source.state === "error" ? (
        <Button
          size="small"
          onClick={() => {
            onRetry(source.id);
          }}
        >
          <RotateCw aria-hidden className="size-4" />
          Try again
        </Button>
      ) : null}
      {onRemove ? (
        <Button
          kind="quiet"
          size="icon"
          aria-label={`Stop reading ${place}`}
          title="Stop reading this source. What is in it stays as it is."
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

function SourceState({ source, place }: { source: LibrarySource; place: string }) {
  const now = useNow();
  const { state, indexed, failed } = source;
  return (
    <>
      <p className="mt-1 flex items-center gap-2 text-sm text-quiet tabular-nums">
        <StateDot state={state} />
        {sourceWords(source, now)}
      </p>
      {state === "syncing" ? (
        <Bar label={`Reading ${place}`} value={indexed + failed} of={total(source)} />
      ) : null}
    </>
  );
}
