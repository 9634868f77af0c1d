import { describe, expect, it } from "vitest";

import { difference, type Piece } from "@/watches/difference";

const text = (pieces: Piece[], without: Piece["kind"]) =>
  pieces
    .filter((piece) => piece.kind !== without)
    .map((piece) => piece.text)
    .join("");

describe("difference", () => {
  it("marks the words that differ and leaves the others", () => {
    expect(difference("The desk opens at 08:30 daily.", "The desk opens at 09:45 daily.")).toEqual([
      { kind: "same", text: "The desk opens at " },
      { kind: "old", text: "08:30 " },
      { kind: "new", text: "09:45 " },
      { kind: "same", text: "daily." },
    ]);
  });

  it("gives both texts back", () => {
    const before = "  one two three four five six";
    const after = "one three four and five  six seven\neight";
    const pieces = difference(before, after);
    expect(text(pieces, "new")).toBe(before);
    expect(text(pieces, "old")).toBe(after);
  });

  it("shows long texts one after the other", () => {
    const pieces = difference("a ".repeat(700), "b ".repeat(3));
    expect(pieces.map((piece) => piece.kind)).toEqual(["old", "new"]);
  });

  it("has nothing to mark in equal texts", () => {
    expect(difference("same", "same")).toEqual([{ kind: "same", text: "same" }]);
    expect(difference("", "")).toEqual([]);
  });
});
