/** Rows that a statement in SQL gave: their columns, their values in words, what differs. */
import type { Row } from "@/api/types";

export interface MovedRow {
  what: "went" | "came";
  row: Row;
}

/** Every column that a row has, in the order of the first that has it. */
export function columns(rows: Row[]): string[] {
  return [...new Set(rows.flatMap(Object.keys))];
}

export function cell(value: unknown): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The rows that are there no longer, then those that were not: their order does not count. */
export function movedRows(old: Row[], fresh: Row[]): MovedRow[] {
  return [
    ...without(old, fresh).map((row): MovedRow => ({ what: "went", row })),
    ...without(fresh, old).map((row): MovedRow => ({ what: "came", row })),
  ];
}

/** The rows of one list that the other lacks; of equal rows, as many as are too many. */
function without(rows: Row[], others: Row[]): Row[] {
  const counts = new Map<string, number>();
  for (const other of others) counts.set(known(other), (counts.get(known(other)) ?? 0) + 1);
  return rows.filter((row) => {
    const left = counts.get(known(row)) ?? 0;
    counts.set(known(row), left - 1);
    return left <= 0;
  });
}

/** Equal for rows of the same values, in whatever order their columns come. */
function known(row: Row): string {
  return JSON.stringify(Object.entries(row).sort(([one], [other]) => (one < other ? -1 : 1)));
}
