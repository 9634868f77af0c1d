import { expect, it } from "vitest";

import type { AnswerSource, Watch, WatchAnswer } from "@/api/types";
import { answerWords, titleOf } from "@/watches/words";

function answer(over: Partial<WatchAnswer>): WatchAnswer {
  return { text: "", content: [], passages: [], rows: [], withheld: false, ...over };
}

function passage(document_name: string): AnswerSource {
  return {
    number: 1,
    passage_id: "p",
    hash: "h",
    library_id: "lib_1",
    document_id: "doc_1",
    document_name,
    document_version: 1,
    heading: "",
    text: "",
    start: 0,
    end: 0,
  };
}

it("says what a question is answered with", () => {
  expect(answerWords("question", answer({ text: "At 08:30." }))).toBe("At 08:30.");
});

it("says how many passages a search has, and each document once", () => {
  const passages = ["desk.md", "garden.md", "desk.md"].map(passage);
  expect(answerWords("search", answer({ passages }))).toBe("3 passages: desk.md, garden.md");
  expect(answerWords("search", answer({ passages: passages.slice(0, 1) }))).toBe(
    "1 passage: desk.md",
  );
  expect(answerWords("search", answer({}))).toBe("Nothing is found.");
});

it("says a short row in full, and else how many there are", () => {
  const row = { item: "lamp", left: 1 };
  expect(answerWords("sql", answer({ rows: [row] }))).toBe("item lamp, left 1");
  expect(answerWords("sql", answer({ rows: [row, row] }))).toBe("2 rows");
  expect(answerWords("sql", answer({ rows: [{ a: 1, b: 2, c: 3, d: 4, e: 5 }] }))).toBe("1 row");
  expect(answerWords("sql", answer({}))).toBe("No row.");
  expect(answerWords("sql", answer({ withheld: true }))).toBe(
    "You may no longer ask one of its tables, so its rows are not shown.",
  );
});

it("goes by its name, or by what it asks on one line", () => {
  const watch = { name: "", query: "SELECT item\n  FROM stock" } as Watch;
  expect(titleOf(watch)).toBe("SELECT item FROM stock");
  expect(titleOf({ ...watch, name: "Stock" })).toBe("Stock");
});
