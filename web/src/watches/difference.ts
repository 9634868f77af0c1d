/** What differs between two texts, word by word. */

export interface Piece {
  kind: "same" | "old" | "new";
  text: string;
}

/** Longer texts are shown whole, one after the other: a table of all pairs would take too long. */
const MOST_WORDS = 600;

/** The pieces in order, old before new where both stand in one place. */
export function difference(before: string, after: string): Piece[] {
  const old = words(before);
  const fresh = words(after);
  if (old.length > MOST_WORDS || fresh.length > MOST_WORDS) {
    return joined([...all("old", old), ...all("new", fresh)]);
  }
  const common = lengths(old, fresh);
  const pieces: Piece[] = [];
  let at = 0;
  let to = 0;
  while (at < old.length || to < fresh.length) {
    const [one, other] = [old[at], fresh[to]];
    if (one !== undefined && one === other) {
      pieces.push({ kind: "same", text: one });
      at += 1;
      to += 1;
    } else if (one !== undefined && goesOn(common, at + 1, to) >= goesOn(common, at, to + 1)) {
      pieces.push({ kind: "old", text: one });
      at += 1;
    } else if (other !== undefined) {
      pieces.push({ kind: "new", text: other });
      to += 1;
    }
  }
  return joined(pieces);
}

/** Words with the space behind them, so that the pieces put together are the text. */
function words(text: string): string[] {
  return text.match(/\S+\s*|^\s+/g) ?? [];
}

/** How many words from each pair of places on are common to both. */
function lengths(old: string[], fresh: string[]): number[][] {
  const rows = Array.from({ length: old.length + 1 }, () =>
    new Array<number>(fresh.length + 1).fill(0),
  );
  for (let at = old.length - 1; at >= 0; at -= 1) {
    const row = rows[at] ?? [];
    for (let to = fresh.length - 1; to >= 0; to -= 1) {
      row[to] =
        old[at] === fresh[to]
          ? goesOn(rows, at + 1, to + 1) + 1
          : Math.max(goesOn(rows, at + 1, to), row[to + 1] ?? 0);
    }
  }
  return rows;
}

/** Past the end of the old text nothing is common, and less than past the end of the new. */
function goesOn(rows: number[][], at: number, to: number): number {
  return rows[at]?.[to] ?? -1;
}

function all(kind: Piece["kind"], texts: string[]): Piece[] {
  return texts.map((text) => ({ kind, text }));
}

/** Neighbours of one kind become one piece. */
function joined(pieces: Piece[]): Piece[] {
  const found: Piece[] = [];
  for (const piece of pieces) {
    const last = found.at(-1);
    if (last?.kind === piece.kind) last.text += piece.text;
    else found.push({ ...piece });
  }
  return found;
}
