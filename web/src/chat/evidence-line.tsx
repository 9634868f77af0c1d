/** The line under an answer: what it rests on, whether that still holds, and how fast it came. */
import { RotateCcw } from "lucide-react";

import type { PassageState } from "@/api/types";
import { isRunning, type Citation, type Turn } from "@/chat/turns";
import { ago, useNow } from "@/live/time";
import { Button } from "@/ui/button";

export interface Rest {
  citation: Citation;
  state: PassageState | undefined;
}

interface EvidenceLineProps {
  turn: Turn;
  rests: Rest[];
  busy: boolean;
  onAgain: () => void;
}

export function EvidenceLine({ turn, rests, busy, onAgain }: EvidenceLineProps) {
  if (isRunning(turn)) return null;
  const stale = rests.filter(isStale);
  return (
    <div className="mt-3 text-sm">
      {stale.length > 0 ? <Stale stale={stale} busy={busy} onAgain={onAgain} /> : null}
      {turn.state === "failed" ? <Again busy={busy} onAgain={onAgain} /> : null}
      <p className="text-quiet">{summary(turn, rests, stale.length)}</p>
    </div>
  );
}

export function isStale(rest: Rest): boolean {
  if (rest.citation.withheld !== undefined) return true;
  return rest.state !== undefined && rest.state.state !== "current";
}

interface StaleProps {
  stale: Rest[];
  busy: boolean;
  onAgain: () => void;
}

function Stale({ stale, busy, onAgain }: StaleProps) {
  const now = useNow();
  return (
    <div className="mb-2 flex flex-wrap items-center gap-x-3 gap-y-2 border-l-2 border-warm bg-warm-soft py-2 pr-2 pl-3">
      <p>{stale.map((rest) => staleWords(rest, now)).join("; ")}</p>
      <Again busy={busy} onAgain={onAgain} />
    </div>
  );
}

function Again({ busy, onAgain }: { busy: boolean; onAgain: () => void }) {
  return (
    <Button kind="warm" size="small" disabled={busy} onClick={onAgain}>
      <RotateCcw aria-hidden className="size-3.5" />
      Answer again
    </Button>
  );
}

/** "Source 2 changed 3 s ago". */
export function staleWords({ citation, state }: Rest, now: number): string {
  if (citation.withheld === "closed") return `You may no longer read source ${citation.number}`;
  const when = state?.changed_at ? ` ${ago(state.changed_at, now)}` : "";
  const verb = state?.state === "gone" ? "went away" : "changed";
  return `Source ${citation.number} ${verb}${when}`;
}

/** "3 sources, all current · 41 tokens/s". */
export function summary(turn: Turn, rests: Rest[], stale: number): string {
  const words = [support(turn, rests, stale)];
  if (turn.state === "stopped") words.push("stopped");
  if (turn.tokensPerSecond !== null) words.push(`${Math.round(turn.tokensPerSecond)} tokens/s`);
  if (turn.forgotten > 0) words.push("the beginning of this chat was too long to be read");
  return words.filter((one) => one !== "").join(" · ");
}

function support(turn: Turn, rests: Rest[], stale: number): string {
  const count = rests.length;
  if (count === 0) return turn.sources === null || turn.state !== "done" ? "" : "no source cited";
  const noun = count === 1 ? "1 source" : `${count} sources`;
  if (stale > 0) return `${noun}, ${count - stale} current`;
  return count === 1 ? `${noun}, current` : `${noun}, all current`;
}
