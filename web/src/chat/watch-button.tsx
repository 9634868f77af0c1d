/** Keeps a question answered, from under its answer. */
import { Eye } from "lucide-react";
import { Link } from "wouter";

import { api } from "@/api/client";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";
import { useWatchChange, useWatches } from "@/watches/queries";

interface WatchButtonProps {
  question: string;
  model: string;
  libraries: string[];
}

export function WatchButton({ question, model, libraries }: WatchButtonProps) {
  const { data } = useWatches();
  const creation = useWatchChange(() =>
    api.watches.create({ kind: "question", query: question, model, library_ids: libraries }),
  );
  const known = data?.find(
    ({ kind, query, library_ids }) =>
      kind === "question" && query === question && same(library_ids, libraries),
  );
  if (known) {
    return (
      <Link href={`/watches/${known.id}`} className="text-sm text-link underline">
        This question is watched
      </Link>
    );
  }
  return (
    <>
      <Button
        kind="quiet"
        size="small"
        disabled={creation.isPending}
        onClick={() => {
          creation.mutate(undefined);
        }}
      >
        <Eye aria-hidden className="size-3.5" />
        Watch this answer
      </Button>
      <ErrorLine error={creation.error} />
    </>
  );
}

function same(one: string[], other: string[]): boolean {
  return one.length === other.length && one.every((id) => other.includes(id));
}
