import { afterEach, expect, it, vi } from "vitest";

import type { ConversationEvent } from "@/api/types";
import { chats, DRAFT } from "@/chat/store";
import { markdown } from "@/chat/turns";

afterEach(() => {
  vi.unstubAllGlobals();
});

const STARTED: ConversationEvent = {
  type: "conversation.response.started",
  conversation_id: "conv_1",
};

function delta(content: string): ConversationEvent {
  return { type: "message.output.delta", id: "m", content };
}

/** A stream that the test feeds; it fails as a browser's does when its request is aborted. */
function stream() {
  let controller: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
  });
  vi.stubGlobal("fetch", (_path: string, init: RequestInit) => {
    init.signal?.addEventListener("abort", () => {
      controller.error(new DOMException("Aborted", "AbortError"));
    });
    return Promise.resolve(new Response(body));
  });
  const send = (event: ConversationEvent) => {
    const frame = `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    controller.enqueue(new TextEncoder().encode(frame));
  };
  return {
    send,
    close: () => {
      controller.close();
    },
  };
}

function ask() {
  const onNamed = vi.fn();
  const onSettled = vi.fn();
  const asked = chats.ask(
    { conversation: null, path: "/v1/conversations", body: {}, question: "When?", before: [] },
    { onNamed, onSettled },
  );
  return { asked, onNamed, onSettled };
}

it("moves a draft under the name that the server gives", async () => {
  const { send, close } = stream();
  const { asked, onNamed, onSettled } = ask();
  expect(chats.get(DRAFT)?.turns).toHaveLength(1);
  send(STARTED);
  send(delta("At 08:30."));
  send({ type: "conversation.response.done" });
  close();
  await asked;
  expect(chats.get(DRAFT)).toBeUndefined();
  expect(onNamed).toHaveBeenCalledExactlyOnceWith("conv_1");
  expect(onSettled).toHaveBeenCalledOnce();
  expect(chats.get("conv_1")).toMatchObject({ running: null, turns: [{ state: "done" }] });
});

it("keeps what was written when it is stopped", async () => {
  const { send } = stream();
  const { asked, onNamed } = ask();
  send(STARTED);
  send(delta("At 08"));
  await vi.waitFor(() => {
    expect(onNamed).toHaveBeenCalled();
    expect(chats.get("conv_1")?.turns[0]?.state).toBe("writing");
  });
  chats.stop("conv_1");
  await asked;
  const turn = chats.get("conv_1")?.turns[0];
  expect(turn?.state).toBe("stopped");
  expect(markdown(turn?.parts ?? [])).toBe("At 08");
});

it("says why a question was refused", async () => {
  const refusal = { message: "The model is loading. Try again in a few seconds." };
  vi.stubGlobal("fetch", () =>
    Promise.resolve(new Response(JSON.stringify(refusal), { status: 503 })),
  );
  await ask().asked;
  expect(chats.get(DRAFT)?.turns[0]).toMatchObject({ state: "failed", error: refusal.message });
});
