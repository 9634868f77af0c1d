import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";

import type { PassageState } from "@/api/types";
import { EvidenceLine, isStale, staleWords, summary, type Rest } from "@/chat/evidence-line";
import { newTurn, type Turn } from "@/chat/turns";

afterEach(cleanup);

const NOW = Date.parse("2026-03-01T12:00:03Z");

function rest(number: number, state: PassageState["state"]): Rest {
  const changed_at = state === "current" ? null : "2026-03-01T12:00:00Z";
  const id = `psg_${number}`;
  return {
    citation: { kind: "citation", number, id, hash: "h", library_id: "lib_1", title: "a.md" },
    state: { id, state, changed_at },
  };
}

function done(over: Partial<Turn> = {}): Turn {
  return { ...newTurn("When?"), state: "done", sources: [], ...over };
}

describe("what stands under an answer", () => {
  it("counts the sources and says that they are current", () => {
    const turn = done({ tokensPerSecond: 41.4 });
    const rests = [rest(1, "current"), rest(2, "current"), rest(3, "current")];
    expect(summary(turn, rests, 0)).toBe("3 sources, all current · 41 tokens/s");
    expect(summary(turn, [rest(1, "current")], 0)).toBe("1 source, current · 41 tokens/s");
  });

  it("says when an answer rests on nothing", () => {
    expect(summary(done(), [], 0)).toBe("no source cited");
    expect(summary(done({ sources: null }), [], 0)).toBe("");
  });

  it("tells what changed and when", () => {
    expect(staleWords(rest(2, "changed"), NOW)).toBe("Source 2 changed 3 s ago");
    expect(staleWords(rest(2, "gone"), NOW)).toBe("Source 2 went away 3 s ago");
  });

  it("says that one may no longer read what an answer rests on", () => {
    const closed = rest(1, "gone");
    closed.citation.withheld = "closed";
    expect(staleWords(closed, NOW)).toBe("You may no longer read source 1");
    expect(isStale({ ...closed, state: undefined })).toBe(true);
  });

  it("offers a new answer only where one is due", () => {
    const again = vi.fn();
    const line = (rests: Rest[]) => (
      <EvidenceLine turn={done()} rests={rests} busy={false} onAgain={again} />
    );
    const { rerender } = render(line([rest(1, "current")]));
    expect(screen.queryByRole("button", { name: "Answer again" })).toBeNull();
    rerender(line([rest(1, "changed")]));
    screen.getByRole("button", { name: "Answer again" }).click();
    expect(again).toHaveBeenCalledOnce();
  });
});
