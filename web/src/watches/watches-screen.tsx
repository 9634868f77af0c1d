/** What is kept asked: questions, searches and statements in SQL. */
import { useEffect } from "react";
import { Link } from "wouter";

import type { Watch } from "@/api/types";
import { StateDot } from "@/libraries/state-dot";
import { useNow } from "@/live/time";
import { useMayChange } from "@/session/session";
import { ErrorLine } from "@/ui/dialog";
import { Screen } from "@/ui/screen";
import { AddWatch } from "@/watches/add-watch";
import { useLooked, useWatches } from "@/watches/queries";
import { answerWords, KINDS, stateWords, titleOf } from "@/watches/words";

export function WatchesScreen() {
  const { data, error } = useWatches();
  const [, look] = useLooked();
  const mayAdd = useMayChange();
  // What is on the screen has been seen.
  useEffect(look, [look, data]);
  return (
    <Screen
      title="Watches"
      about="What stays asked: when the documents or the tables change, you see what changed."
      actions={mayAdd ? <AddWatch /> : null}
    >
      <ErrorLine error={error} />
      {data && data.length > 0 ? (
        <ul className="divide-y border-y">
          {data.map((watch) => (
            <Row key={watch.id} watch={watch} />
          ))}
        </ul>
      ) : null}
      {data?.length === 0 ? (
        <p className="text-quiet">
          Nothing is watched yet. Add a watch here, or choose “Watch this answer” under an answer.
        </p>
      ) : null}
    </Screen>
  );
}

function Row({ watch }: { watch: Watch }) {
  const now = useNow();
  return (
    <li>
      <Link
        href={`/watches/${watch.id}`}
        className="block px-2 py-4 transition-colors duration-100 hover:bg-link-soft"
      >
        <span className="line-clamp-2 font-medium [overflow-wrap:anywhere]">{titleOf(watch)}</span>
        {watch.answer ? (
          <span className="mt-1 line-clamp-2 text-sm [overflow-wrap:anywhere]">
            {answerWords(watch.kind, watch.answer)}
          </span>
        ) : null}
        <span className="mt-1 flex items-center gap-2 text-sm text-quiet tabular-nums">
          <StateDot state={dot(watch)} />
          {watch.kind === "question" ? null : `${KINDS[watch.kind]}, `}
          {stateWords(watch, now)}
        </span>
      </Link>
    </li>
  );
}

export function dot(watch: Watch) {
  if (watch.state === "paused") return "error";
  return watch.state === "answering" ? "syncing" : "in_step";
}
