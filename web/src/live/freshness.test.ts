import { expect, it } from "vitest";

import type { Freshness } from "@/api/types";
import { freshnessWords } from "@/live/freshness";

const NOW = Date.parse("2026-03-02T12:00:03Z");

function freshness(over: Partial<Freshness>): Freshness {
  const as_of = "2026-03-02T12:00:00Z";
  return { state: "in_step", version: 1, as_of, pending: 0, message: "", ...over };
}

it("says how a library stands to its files", () => {
  expect(freshnessWords(freshness({}), NOW)).toBe("in step, 3 s ago");
  expect(freshnessWords(freshness({ state: "syncing", pending: 4 }), NOW)).toBe("reading, 4 to go");
  expect(freshnessWords(freshness({ state: "syncing" }), NOW)).toBe("reading");
  const message = "The folder /data is gone.";
  expect(freshnessWords(freshness({ state: "error", message }), NOW)).toBe(message);
});
