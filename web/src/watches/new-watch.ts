/** The form of a new watch as a request. */
import type { NewWatch, WatchKind } from "@/api/types";

/** What was filled in; a statement in SQL looks into tables, not into libraries. */
export function newWatch(kind: WatchKind, form: FormData): NewWatch {
  const watch: NewWatch = { kind, query: text(form, "query") };
  const name = text(form, "name");
  if (kind !== "question" && name !== "") watch.name = name;
  if (kind === "question") watch.model = text(form, "model");
  if (kind !== "sql") watch.library_ids = form.getAll("library").map(String);
  return watch;
}

function text(form: FormData, name: string): string {
  const given = form.get(name);
  return typeof given === "string" ? given.trim() : "";
}
