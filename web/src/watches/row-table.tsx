/** Rows as a table; one wider than the screen scrolls by itself. */
import type { ReactNode } from "react";

import type { Row } from "@/api/types";
import { classes } from "@/ui/classes";
import { cell, columns, type MovedRow } from "@/watches/rows";

interface RowTableProps {
  /** What the rows are, for those who do not see them. */
  label: string;
  rows: Row[];
}

export function RowTable({ label, rows }: RowTableProps) {
  const names = columns(rows);
  return (
    <Scrolling label={label}>
      <Head names={names} />
      <tbody>
        {rows.map((row, place) => (
          // Rows of SQL have no names of their own, and stand still until others come.
          <tr key={place} className="border-b">
            <Cells row={row} names={names} />
          </tr>
        ))}
      </tbody>
    </Scrolling>
  );
}

/** Rows that went are struck out and rows that came underlined, so not told by colour. */
export function MovedRows({ label, moved }: { label: string; moved: MovedRow[] }) {
  const names = columns(moved.map(({ row }) => row));
  return (
    <Scrolling label={label}>
      <Head names={names} marked />
      <tbody>
        {moved.map(({ what, row }, place) => (
          <tr key={place} className={classes("border-b", what === "came" && "bg-warm-soft")}>
            <td className="px-1 py-1.5 pr-4 align-top text-quiet">{what}</td>
            <Cells row={row} names={names} mark={what === "went" ? "del" : "ins"} />
          </tr>
        ))}
      </tbody>
    </Scrolling>
  );
}

function Scrolling({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div
      role="region"
      aria-label={label}
      // What scrolls must be reachable by keyboard.
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      className="max-h-96 overflow-auto"
    >
      <table className="w-max min-w-full text-sm">{children}</table>
    </div>
  );
}

interface HeadProps {
  names: string[];
  /** Whether a mark stands before each row. */
  marked?: boolean;
}

function Head({ names, marked }: HeadProps) {
  return (
    <thead className="sticky top-0 bg-paper">
      <tr className="border-b">
        {marked ? <td /> : null}
        {names.map((name) => (
          <th key={name} scope="col" className="py-1.5 pr-6 text-left font-medium text-quiet">
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

interface CellsProps {
  row: Row;
  names: string[];
  mark?: "del" | "ins";
}

function Cells({ row, names, mark: Mark }: CellsProps) {
  return names.map((name) => (
    <td key={name} className="max-w-80 py-1.5 pr-6 align-top break-words tabular-nums">
      {Mark ? <Mark>{cell(row[name])}</Mark> : cell(row[name])}
    </td>
  ));
}
