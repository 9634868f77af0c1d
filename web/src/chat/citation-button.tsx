/** The number behind a sentence; it opens the passage that supports it. */
import { isStale, type Rest } from "@/chat/evidence-line";
import { useAnswerSources } from "@/chat/sources";
import { classes } from "@/ui/classes";

export function CitationButton({ number }: { number: number }) {
  const { find, open, opened } = useAnswerSources();
  const found = find(number);
  if (!found) return null;
  const stale = isStale(found);
  return (
    <button
      type="button"
      aria-label={`Source ${number}`}
      title={describe(found)}
      aria-expanded={opened === number}
      onClick={() => {
        open(number);
      }}
      className={classes(
        "mx-0.5 inline rounded-md border border-transparent bg-link-soft px-1.5 py-px align-[0.08em] text-xs font-medium text-link tabular-nums transition-colors duration-100 hover:border-link",
        opened === number && "border-link",
        stale && "border-warm bg-warm-soft text-text",
      )}
    >
      {number}
    </button>
  );
}

function describe({ citation, state: found }: Rest): string {
  const { title, withheld } = citation;
  const state = found?.state;
  if (withheld === "closed") return title;
  if (state === "changed") return `${title}, changed since`;
  if (state === "gone") return `${title}, gone since`;
  return title;
}
