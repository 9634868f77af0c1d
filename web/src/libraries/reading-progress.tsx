/** How far the reading of a library has come, while it is being read. */
import type { Library } from "@/api/types";
import { freshnessWords } from "@/live/freshness";
import { useNow } from "@/live/time";

export function ReadingProgress({ library }: { library: Library }) {
  const now = useNow();
  const { freshness, nb_documents: read } = library;
  const total = read + freshness.pending;
  return (
    <div className="mt-2 text-sm text-quiet">
      <p role="status">
        {documents(read)} read, <FreshnessText words={freshnessWords(freshness, now)} />
      </p>
      {freshness.state === "syncing" ? (
        <progress
          aria-label={`Reading ${library.name}`}
          max={Math.max(total, 1)}
          value={read}
          className="mt-2 h-1 w-full max-w-sm appearance-none overflow-hidden rounded-full bg-line [&::-moz-progress-bar]:bg-warm [&::-webkit-progress-bar]:bg-line [&::-webkit-progress-value]:bg-warm"
        />
      ) : null}
    </div>
  );
}

/** The seconds tick for the eye only. */
function FreshnessText({ words }: { words: string }) {
  return (
    <span aria-live="off" className="tabular-nums">
      {words}
    </span>
  );
}

export function documents(count: number): string {
  return count === 1 ? "1 document" : `${count} documents`;
}
