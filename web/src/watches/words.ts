/** A watch and what happened to it, in words. */
import type { MovedPassage, Row, Watch, WatchAnswer, WatchEvent, WatchKind } from "@/api/types";
import { ago } from "@/live/time";
import { cell } from "@/watches/rows";

/** More columns of a row are a table, not a sentence. */
const MOST_COLUMNS = 4;

export const KINDS: Record<WatchKind, string> = {
  question: "Question",
  search: "Search",
  sql: "SQL over live tables",
};

/** Its name, or else what it asks, on one line. */
export function titleOf(watch: Watch): string {
  return watch.name === "" ? watch.query.replace(/\s+/g, " ") : watch.name;
}

/** An answer at a glance. */
export function answerWords(kind: WatchKind, answer: WatchAnswer): string {
  if (kind === "question") return answer.text;
  return kind === "search" ? passageWords(answer) : rowWords(answer);
}

/** "2 passages: desk.md, garden.md". */
function passageWords({ passages }: WatchAnswer): string {
  if (passages.length === 0) return "Nothing is found.";
  const names = new Set(passages.map(({ document_name }) => document_name));
  return `${counted(passages.length, "passage")}: ${[...names].join(", ")}`;
}

/** "item lamp, left 1", or "12 rows". */
function rowWords({ rows, withheld }: WatchAnswer): string {
  if (withheld) return "You may no longer ask one of its tables, so its rows are not shown.";
  const [first] = rows;
  if (first === undefined) return "No row.";
  const isShort = rows.length === 1 && Object.keys(first).length <= MOST_COLUMNS;
  return isShort ? sentence(first) : counted(rows.length, "row");
}

function sentence(row: Row): string {
  return Object.entries(row)
    .map(([name, value]) => `${name} ${cell(value)}`)
    .join(", ");
}

function counted(number: number, what: string): string {
  return number === 1 ? `1 ${what}` : `${number} ${what}s`;
}

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
