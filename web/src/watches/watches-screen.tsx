/** The questions that are kept answered. */
import { useEffect } from "react";
import { Link } from "wouter";

import type { Watch } from "@/api/types";
import { StateDot } from "@/libraries/state-dot";
import { useNow } from "@/live/time";
import { ErrorLine } from "@/ui/dialog";
import { Screen } from "@/ui/screen";
import { useLooked, useWatches } from "@/watches/queries";
import { stateWords } from "@/watches/words";

export function WatchesScreen() {
  const { data, error } = useWatches();
  const [, look] = useLooked();
  // What is on the screen has been seen.
  useEffect(look, [look, data]);
  return (
    <Screen
      title="Watches"
      about="Questions that stay answered: when the documents change, you see what changed."
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
          Nothing is watched yet. Ask a library a question, then choose “Watch this answer” under
          the answer.
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
        <span className="font-medium [overflow-wrap:anywhere]">{watch.query}</span>
        {watch.answer ? (
          <span className="mt-1 line-clamp-2 text-sm [overflow-wrap:anywhere]">
            {watch.answer.text}
          </span>
        ) : null}
        <span className="mt-1 flex items-center gap-2 text-sm text-quiet tabular-nums">
          <StateDot state={dot(watch)} />
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
