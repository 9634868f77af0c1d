/** What a source is called, and how it stands, in words. */
import type { LibrarySource } from "@/api/types";
import { ago, span } from "@/live/time";

/** What people call each kind; one that is not here goes by its own name. */
const KINDS: Record<string, string> = {
  folder: "Folder",
  git: "Git repository",
  imap: "Mailbox",
  kafka: "Kafka topic",
  pipeline: "Pipeline",
  postgres: "PostgreSQL table",
  push: "Pushed over HTTP",
  s3: "S3 bucket",
  web: "Web pages",
  webdav: "WebDAV folder",
};

export function kindWords(kind: string): string {
  return KINDS[kind] ?? kind;
}

/** The settings that tell where a source lies, the first that there is. */
const PLACES = ["path", "url", "repository", "bucket", "table", "topic", "user", "pipeline"];

/** "/srv/handbook", "https://example.com/feed" or, where nothing is to be named, the kind. */
export function placeWords({ kind, config }: LibrarySource): string {
  const found = PLACES.map((name) => config[name]).find((value) => typeof value === "string");
  return found ?? kindWords(kind);
}

export function count(number: number): string {
  return number.toLocaleString("en-GB");
}

/** What there is to read, as far as is known. */
export function total({ seen, indexed, failed, pending }: LibrarySource): number {
  return Math.max(seen, indexed + failed + pending);
}

/** "in step, 5 documents, 4 read, 1 could not be read, looked 3 s ago, looks every 30 s". */
export function sourceWords(source: LibrarySource, now: number): string {
  const { state, indexed, failed, checked_at, interval } = source;
  if (state === "syncing") return progressWords(source);
  const all = total(source);
  const words = [
    state === "in_step" ? "in step" : "not in step",
    all === 1 ? "1 document" : `${count(all)} documents`,
    `${count(indexed)} read`,
    ...meaningWords(source),
  ];
  if (failed > 0) words.push(`${count(failed)} could not be read`);
  if (checked_at) words.push(`looked ${ago(checked_at, now)}`);
  if (interval !== null) words.push(`looks every ${interval < 1 ? "second" : span(interval)}`);
  return words.join(", ");
}

/** "412 of 1,000 read, 300 found by meaning, 38 a second, 15 s left". */
export function progressWords(source: LibrarySource): string {
  const { indexed, failed, rate, seconds_left } = source;
  const all = total(source);
  if (all === 0) return "looking for documents";
  const words = [`${count(indexed)} of ${count(all)} read`, ...meaningWords(source)];
  if (failed > 0) words.push(`${count(failed)} could not be read`);
  if (rate > 0) words.push(`${rate < 1 ? "less than 1" : count(Math.round(rate))} a second`);
  if (seconds_left !== null) words.push(`${span(Math.ceil(seconds_left))} left`);
  return words.join(", ");
}

function meaningWords({ indexed, embedded }: LibrarySource): string[] {
  return embedded < indexed ? [`${count(embedded)} found by meaning`] : [];
}
