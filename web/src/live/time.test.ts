import { expect, it } from "vitest";

import { ago } from "@/live/time";

const NOW = Date.parse("2026-03-02T12:00:00Z");

it.each([
  ["2026-03-02T12:00:00Z", "0 s ago"],
  ["2026-03-02T11:59:57.400Z", "2 s ago"],
  ["2026-03-02T11:58:59Z", "1 min ago"],
  ["2026-03-02T09:00:00Z", "3 h ago"],
  ["2026-02-28T12:00:00Z", "2 d ago"],
  ["2026-03-02T12:00:04Z", "0 s ago"],
])("says of %s: %s", (moment, words) => {
  expect(ago(moment, NOW)).toBe(words);
});
