/** How far the reading of a library has come, while it is being read. */
import type { Library } from "@/api/types";
import { freshnessWords } from "@/live/freshness";
import { useNow } from "@/live/time";

/** Without the bar, and without what is wrong, where each source shows its own. */
export function ReadingProgress({ library, bar = true }: { library: Library; bar?: boolean }) {
  const now = useNow();
  const { freshness, nb_documents: read } = library;
  const total = read + freshness.pending;
  const told = !bar && freshness.state === "error";
  const words = told ? "not in step" : freshnessWords(freshness, now);
  return (
    <div className="mt-2 text-sm text-quiet">
      <p role="status">
        {documents(read)} read, <FreshnessText words={words} />
      </p>
      {bar && freshness.state === "syncing" ? (
        <Bar label={`Reading ${library.name}`} value={read} of={total} />
      ) : null}
    </div>
  );
}

/** A thin line that fills. */
export function Bar({ label, value, of }: { label: string; value: number; of: number }) {
  return (
    <progress
      aria-label={label}
      max={Math.max(of, 1)}
      value={value}
      className="mt-2 h-1 w-full max-w-sm appearance-none overflow-hidden rounded-full bg-line [&::-moz-progress-bar]:bg-warm [&::-webkit-progress-bar]:bg-line [&::-webkit-progress-value]:bg-warm"
    />
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
