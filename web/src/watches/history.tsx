/** What happened to a watch, the latest first: old answer, new answer, passages that moved. */
import { useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import type { MovedPassage, WatchEvent, WatchKind } from "@/api/types";
import { keys } from "@/live/events";
import { ago, useNow } from "@/live/time";
import { ErrorLine } from "@/ui/dialog";
import { difference } from "@/watches/difference";
import { MovedRows } from "@/watches/row-table";
import { movedRows } from "@/watches/rows";
import { answerWords, eventWords, movedWords } from "@/watches/words";

export function WatchHistory({ id, kind }: { id: string; kind: WatchKind }) {
  const { data, error } = useQuery({
    queryKey: [...keys.watch(id), "events"],
    queryFn: () => api.watches.events(id),
  });
  return (
    <>
      <ErrorLine error={error} />
      <ol className="divide-y border-y">
        {(data ?? []).map((event) => (
          <li key={event.id} className="py-4">
            <Happened event={event} kind={kind} />
          </li>
        ))}
      </ol>
    </>
  );
}

interface EventProps {
  event: WatchEvent;
  kind: WatchKind;
}

function Happened({ event, kind }: EventProps) {
  const now = useNow();
  const title = (
    <>
      <span className="font-medium">{eventWords(event)}</span>{" "}
      <span className="text-quiet tabular-nums">{ago(event.at, now)}</span>
    </>
  );
  if (event.happening === "stands") {
    return (
      <details className="text-sm">
        <summary className="cursor-pointer">{title}</summary>
        <Moved passages={event.moved} />
      </details>
    );
  }
  return (
    <div className="text-sm">
      <p>{title}</p>
      {event.reason === "" ? null : <p className="mt-1 text-quiet">{event.reason}</p>}
      {event.new ? <Answers event={event} kind={kind} /> : null}
      <Rows event={event} />
      <Moved passages={event.moved} />
    </div>
  );
}

function Answers({ event, kind }: EventProps) {
  return (
    <dl className="mt-3 grid grid-cols-[5rem_1fr] gap-x-4 gap-y-2">
      {event.old ? (
        <>
          <dt className="text-quiet">Before</dt>
          <dd className="[overflow-wrap:anywhere]">{answerWords(kind, event.old)}</dd>
        </>
      ) : null}
      <dt className="text-quiet">{event.old ? "Now" : "Answer"}</dt>
      <dd className="[overflow-wrap:anywhere]">
        {event.new ? answerWords(kind, event.new) : null}
      </dd>
    </dl>
  );
}

/** Which rows of a statement came and went. */
function Rows({ event: { old, new: fresh } }: { event: WatchEvent }) {
  if (!old || !fresh || old.withheld || fresh.withheld) return null;
  const moved = movedRows(old.rows, fresh.rows);
  if (moved.length === 0) return null;
  return (
    <div className="mt-3 border-l-2 border-warm pl-3">
      <MovedRows label="Rows that moved" moved={moved} />
    </div>
  );
}

function Moved({ passages }: { passages: MovedPassage[] }) {
  if (passages.length === 0) return null;
  return (
    <ul className="mt-3 space-y-3">
      {passages.map((passage) => (
        <li key={`${passage.passage_id}-${passage.what}`} className="border-l-2 border-warm pl-3">
          <p className="text-quiet">{movedWords(passage)}</p>
          <Passage passage={passage} />
        </li>
      ))}
    </ul>
  );
}

/** The text as it was and is; what differs is struck out or underlined, so not told by colour. */
function Passage({ passage }: { passage: MovedPassage }) {
  const pieces = difference(passage.before ?? "", passage.after ?? "");
  return (
    <p className="mt-1 line-clamp-8 [overflow-wrap:anywhere] whitespace-pre-wrap">
      {pieces.map((piece, place) => {
        // The pieces of one text never change places.
        const key = `${place}-${piece.kind}`;
        if (piece.kind === "old") return <del key={key}>{piece.text}</del>;
        if (piece.kind === "new") {
          return (
            <ins key={key} className="bg-warm-soft">
              {piece.text}
            </ins>
          );
        }
        return <span key={key}>{piece.text}</span>;
      })}
    </p>
  );
}
