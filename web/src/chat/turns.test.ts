import { describe, expect, it } from "vitest";

import type { ConversationEvent, HistoryEntry, ReferenceChunk } from "@/api/types";
import { apply, cited, fromHistory, MARK_CLOSE, MARK_OPEN, markdown, newTurn } from "@/chat/turns";

function reference(number: number): ReferenceChunk {
  return {
    type: "tool_reference",
    tool: "document_library",
    title: "handbook.md",
    number,
    passage_id: `psg_${number}`,
    hash: `hash-${number}`,
    library_id: "lib_1",
  };
}

function delta(content: string | ReferenceChunk): ConversationEvent {
  return { type: "message.output.delta", id: "msg_1", content };
}

function after(...events: ConversationEvent[]) {
  return events.reduce(apply, newTurn("When does the desk open?"));
}

describe("a turn from its stream", () => {
  it("keeps a citation exactly where it stood", () => {
    const turn = after(delta("At 08:30."), delta(reference(2)), delta(" On"), delta(" weekdays."));
    expect(markdown(turn.parts)).toBe(`At 08:30.${MARK_OPEN}2${MARK_CLOSE} On weekdays.`);
    expect(cited(turn)).toMatchObject([{ number: 2, id: "psg_2", hash: "hash-2" }]);
  });

  it("names each cited passage once, by number", () => {
    const turn = after(delta(reference(3)), delta(reference(1)), delta(reference(3)));
    expect(cited(turn).map((citation) => citation.number)).toEqual([1, 3]);
  });

  it("lets no model write a citation of its own", () => {
    const turn = after(delta(`See ${MARK_OPEN}9${MARK_CLOSE}`));
    expect(markdown(turn.parts)).toBe("See 9");
  });

  it("goes from waiting over searching and writing to done", () => {
    const searching = after({ type: "tool.execution.started", id: "t", name: "document_library" });
    expect(searching.state).toBe("searching");
    const writing = apply(searching, delta("At"));
    expect(writing.state).toBe("writing");
    const done = apply(writing, {
      type: "conversation.response.done",
      ponant: { tokens_per_second: 41.2 },
    });
    expect(done).toMatchObject({ state: "done", tokensPerSecond: 41.2 });
  });

  it("keeps what was written when the answer fails", () => {
    const event = { type: "conversation.response.error", message: "The model stopped.", code: 503 };
    const turn = apply(after(delta("At")), event as ConversationEvent);
    expect(turn).toMatchObject({ state: "failed", error: "The model stopped." });
    expect(markdown(turn.parts)).toBe("At");
  });
});

describe("turns from history", () => {
  const entries: HistoryEntry[] = [
    { type: "message.input", id: "in_1", role: "user", content: "When?" },
    { type: "tool.execution", id: "t_1", name: "document_library", info: { sources: [] } },
    {
      type: "message.output",
      id: "out_1",
      content: [{ type: "text", text: "At 08:30." }, reference(1)],
    },
    { type: "message.input", id: "in_2", role: "user", content: "And on Sundays?" },
  ];

  it("puts each answer under its question", () => {
    const [first, second] = fromHistory(entries);
    expect(first).toMatchObject({
      question: "When?",
      state: "done",
      tokensPerSecond: null,
      inputId: "in_1",
      sources: [],
    });
    expect(first && markdown(first.parts)).toBe(`At 08:30.${MARK_OPEN}1${MARK_CLOSE}`);
    expect(second).toMatchObject({ question: "And on Sundays?", state: "stopped", parts: [] });
  });
});
