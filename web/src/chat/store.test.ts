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

/** A server with one answer, which the test writes; stopping ends it as Ponant does. */
function server() {
  const requested: string[] = [];
  let controller: ReadableStreamDefaultController<Uint8Array>;
  let sent = 0;
  const send = (event: ConversationEvent) => {
    sent += 1;
    const frame = `id: ${sent}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
    controller.enqueue(new TextEncoder().encode(frame));
  };
  vi.stubGlobal("fetch", (path: string) => {
    requested.push(path);
    if (path.endsWith("/stop")) {
      send({ type: "conversation.response.done", ponant: { state: "stopped" } });
      controller.close();
      return Promise.resolve(new Response(null, { status: 204 }));
    }
    const body = new ReadableStream<Uint8Array>({
      start(given) {
        controller = given;
      },
    });
    return Promise.resolve(new Response(body));
  });
  return {
    requested,
    send,
    close: () => {
      controller.close();
    },
    cut: () => {
      controller.error(new TypeError("network error"));
    },
  };
}

function ask() {
  const onNamed = vi.fn();
  const asked = chats.ask(
    {
      conversation: null,
      request: { path: "/v1/conversations", body: {} },
      question: "When?",
      before: [],
    },
    { onNamed },
  );
  return { asked, onNamed };
}

it("moves a draft under the name that the server gives", async () => {
  const { send, close } = server();
  const { asked, onNamed } = ask();
  expect(chats.get(DRAFT)?.turns).toHaveLength(1);
  send(STARTED);
  send(delta("At 08:30."));
  send({ type: "conversation.response.done" });
  close();
  await asked;
  expect(chats.get(DRAFT)).toBeUndefined();
  expect(onNamed).toHaveBeenCalledExactlyOnceWith("conv_1", DRAFT);
  expect(chats.get("conv_1")).toMatchObject({ running: null, turns: [{ state: "done" }] });
});

it("is stopped at the server and keeps what was written", async () => {
  const { send, requested } = server();
  const { asked, onNamed } = ask();
  send(STARTED);
  send(delta("At 08"));
  await vi.waitFor(() => {
    expect(onNamed).toHaveBeenCalled();
    expect(chats.get("conv_1")?.turns[0]?.state).toBe("writing");
  });
  chats.stop("conv_1");
  const turn = await asked;
  expect(requested).toContain("/v1/conversations/conv_1/stop");
  expect(turn.state).toBe("stopped");
  expect(markdown(turn.parts)).toBe("At 08");
});

it("goes on from the last event where the connection broke", async () => {
  const { send, close, cut, requested } = server();
  const { asked } = ask();
  send(STARTED);
  send(delta("At "));
  await vi.waitFor(() => {
    expect(chats.get("conv_1")?.turns[0]?.state).toBe("writing");
  });
  cut();
  await vi.waitFor(
    () => {
      expect(requested.at(-1)).toBe("/v1/conversations/conv_1/events?after=2");
    },
    { timeout: 3000 },
  );
  send(delta("08:30."));
  send({ type: "conversation.response.done" });
  close();
  const turn = await asked;
  expect(turn.state).toBe("done");
  expect(markdown(turn.parts)).toBe("At 08:30.");
});

it("says why a question was refused", async () => {
  const refusal = { message: "The model is loading. Try again in a few seconds." };
  vi.stubGlobal("fetch", () =>
    Promise.resolve(new Response(JSON.stringify(refusal), { status: 503 })),
  );
  await ask().asked;
  expect(chats.get(DRAFT)?.turns[0]).toMatchObject({ state: "failed", error: refusal.message });
});
