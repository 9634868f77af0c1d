import { expect, it } from "vitest";

import { newWatch } from "@/watches/new-watch";

function filled(values: [string, string][]): FormData {
  const form = new FormData();
  for (const [name, value] of values) form.append(name, value);
  return form;
}

const LIBRARIES: [string, string][] = [
  ["library", "lib_1"],
  ["library", "lib_2"],
];

it("asks a question of the libraries that were chosen", () => {
  const form = filled([["query", " When is high water? "], ["model", "starter"], ...LIBRARIES]);
  expect(newWatch("question", form)).toEqual({
    kind: "question",
    query: "When is high water?",
    model: "starter",
    library_ids: ["lib_1", "lib_2"],
  });
});

it("names a search where it was given a name, and asks no model", () => {
  const form = filled([["query", "tides"], ["name", " Tides "], ...LIBRARIES]);
  expect(newWatch("search", form)).toEqual({
    kind: "search",
    query: "tides",
    name: "Tides",
    library_ids: ["lib_1", "lib_2"],
  });
});

it("asks SQL of no library, with its lines as they are", () => {
  const query = "SELECT item\nFROM stock";
  expect(newWatch("sql", filled([["query", query], ["name", ""], ...LIBRARIES]))).toEqual({
    kind: "sql",
    query,
  });
});
