import { expect, it } from "vitest";

import { cell, columns, movedRows } from "@/watches/rows";

it("has a column for each name that a row gives, in their order", () => {
  expect(
    columns([
      { item: "lamp", left: 1 },
      { item: "rope", sold: 2 },
    ]),
  ).toEqual(["item", "left", "sold"]);
  expect(columns([])).toEqual([]);
});

it("writes values as people read them", () => {
  expect(["a", 1.5, 0, true, null, [1, 2], { a: 1 }].map(cell)).toEqual([
    "a",
    "1.5",
    "0",
    "true",
    "–",
    "[1,2]",
    '{"a":1}',
  ]);
});

it("tells which rows went and came, whatever their order, each as often as it did", () => {
  const [lamp, rope, sail] = [{ item: "lamp" }, { item: "rope" }, { item: "sail" }];
  expect(movedRows([lamp, rope, rope], [sail, rope, lamp])).toEqual([
    { what: "went", row: rope },
    { what: "came", row: sail },
  ]);
  expect(movedRows([], [lamp])).toEqual([{ what: "came", row: lamp }]);
  expect(movedRows([lamp], [lamp])).toEqual([]);
});
