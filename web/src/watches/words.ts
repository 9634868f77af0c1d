/** A watch and what happened to it, in words. */
import type { MovedPassage, Watch, WatchEvent } from "@/api/types";
import { ago } from "@/live/time";

/** "in step, changed 3 s ago". */
export function stateWords(watch: Watch, now: number): string {
  if (watch.state === "paused") return `paused: ${watch.reason}`;
  const words = [watch.state === "answering" ? "answering" : "in step"];
  if (watch.changed_at) words.push(`changed ${ago(watch.changed_at, now)}`);
  else if (watch.answered_at) words.push(`answered ${ago(watch.answered_at, now)}`);
  return words.join(", ");
}

const HAPPENED: Record<WatchEvent["happening"], string> = {
  answered: "First answer",
  changed: "The answer changed",
  stands: "The evidence moved, the answer stands",
  paused: "Paused",
  resumed: "Resumed",
};

export function eventWords(event: WatchEvent): string {
  return HAPPENED[event.happening];
}

const MOVED: Record<MovedPassage["what"], string> = {
  added: "is new",
  changed: "changed",
  removed: "went away",
  left: "is no longer among the best",
};

/** "refunds.md, Deadlines: changed". */
export function movedWords(passage: MovedPassage): string {
  const place = [passage.document_name, passage.heading].filter((one) => one !== "").join(", ");
  return `${place || "A passage"} ${MOVED[passage.what]}`;
}
