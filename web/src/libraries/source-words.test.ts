import { expect, it } from "vitest";

import type { LibrarySource } from "@/api/types";
import { placeWords, sourceWords } from "@/libraries/source-words";

const NOW = Date.parse("2026-03-02T12:00:03Z");

function source(over: Partial<LibrarySource>): LibrarySource {
  return {
    id: "src_1",
    kind: "folder",
    config: { path: "/srv/handbook" },
    state: "in_step",
    message: "",
    refused: false,
    seen: 1000,
    indexed: 1000,
    embedded: 1000,
    failed: 0,
    pending: 0,
    checked_at: "2026-03-02T12:00:00Z",
    rate: 0,
    seconds_left: null,
    interval: null,
    ...over,
  };
}

it("says how far the reading has come", () => {
  const reading = source({
    state: "syncing",
    indexed: 412,
    embedded: 300,
    pending: 588,
    rate: 38.4,
    seconds_left: 14.2,
  });
  expect(sourceWords(reading, NOW)).toBe(
    "412 of 1,000 read, 300 found by meaning, 38 a second, 15 s left",
  );
  expect(sourceWords({ ...reading, rate: 0.3, seconds_left: 150 }, NOW)).toContain(
    "less than 1 a second, 2 min left",
  );
  const first = source({ state: "syncing", seen: 0, indexed: 0, embedded: 0 });
  expect(sourceWords(first, NOW)).toBe("looking for documents");
});

it("says what a source sees, and when it looks", () => {
  const few = source({ seen: 5, indexed: 4, embedded: 4, failed: 1, interval: 30 });
  expect(sourceWords(few, NOW)).toBe(
    "in step, 5 documents, 4 read, 1 could not be read, looked 3 s ago, looks every 30 s",
  );
  const broken = source({ state: "error", seen: 1, indexed: 1, embedded: 1, checked_at: null });
  expect(sourceWords(broken, NOW)).toBe("not in step, 1 document, 1 read");
});

it("names a source by where it lies", () => {
  expect(placeWords(source({}))).toBe("/srv/handbook");
  const web = source({ kind: "web", config: { url: "https://example.com", links: 1 } });
  expect(placeWords(web)).toBe("https://example.com");
  expect(placeWords(source({ kind: "push", config: {} }))).toBe("Pushed over HTTP");
});
