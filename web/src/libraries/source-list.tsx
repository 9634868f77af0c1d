/** Where a library reads from, what it sees there, and how far the reading has come. */
import { useQuery } from "@tanstack/react-query";
import { RotateCw, X } from "lucide-react";

import { api } from "@/api/client";
import type { LibrarySource, SourceKind } from "@/api/types";
import { useLibraryChange, useSourceKinds } from "@/libraries/queries";
import { Bar } from "@/libraries/reading-progress";
import { signsIn } from "@/libraries/settings";
import { SignInAgain } from "@/libraries/sign-in-again";
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
  const kinds = useSourceKinds().data ?? [];
  const kindOf = (source: LibrarySource) =>
    kinds.find((kind) => admin && kind.name === source.kind && signsIn(kind, source));
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
              library={library}
              source={source}
              kind={kindOf(source)}
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
  library: string;
  source: LibrarySource;
  /** Its kind, where one may sign in with another password. */
  kind: SourceKind | undefined;
  onRemove: ((id: string) => void) | undefined;
  onRetry: ((id: string) => void) | undefined;
}

function SourceRow({ library, source, kind, onRemove, onRetry }: SourceRowProps) {
  const place = placeWords(source);
  const words = kindWords(source.kind);
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-2 py-3">
      <div className="min-w-48 flex-1">
        <p className="text-sm [overflow-wrap:anywhere]">
          {place === words ? null : <span className="text-quiet">{words} </span>}
          <span className="font-mono">{place}</span>
        </p>
        <SourceState source={source} place={place} />
        {source.message === "" ? null : (
          <p className="mt-1 text-sm [overflow-wrap:anywhere]">{source.message}</p>
        )}
      </div>
      <div className="ml-auto flex items-center gap-2">
        {kind ? <SignInAgain library={library} source={source} kind={kind} /> : null}
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
      </div>
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
