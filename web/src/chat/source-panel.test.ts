import { expect, it } from "vitest";

import { cut } from "@/chat/source-panel";

it("counts characters as the server does, also beyond the first plane", () => {
  expect(cut("🌊🌊 opens at 08:30.", 3, 8)).toEqual(["🌊🌊 ", "opens", " at 08:30."]);
});
