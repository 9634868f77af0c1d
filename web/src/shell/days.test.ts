import { expect, it } from "vitest";

import { byDay } from "@/shell/days";

function chat(id: string, at: Date) {
  return { id, created_at: at.toISOString(), updated_at: at.toISOString() };
}

it("puts chats under their days, newest first", () => {
  const now = new Date(2026, 2, 10, 9, 0);
  const groups = byDay(
    [
      chat("old", new Date(2026, 0, 1)),
      chat("week", new Date(2026, 2, 5)),
      chat("night", new Date(2026, 2, 9, 23, 59)),
      chat("early", new Date(2026, 2, 10, 0, 1)),
      chat("late", new Date(2026, 2, 10, 8, 0)),
    ],
    now,
  );
  expect(groups.map(({ title, chats }) => [title, chats.map(({ id }) => id)])).toEqual([
    ["Today", ["late", "early"]],
    ["Yesterday", ["night"]],
    ["Last seven days", ["week"]],
    ["Earlier", ["old"]],
  ]);
});
