/** Reads a conversation's answer as it is written. */
import { EventSourceParserStream } from "eventsource-parser/stream";

import { json, send } from "@/api/client";
import type { ConversationEvent } from "@/api/types";

/** Posts ``body`` and yields each event; ends when the server closes or ``signal`` aborts. */
export async function* streamConversation(
  path: string,
  body: Record<string, unknown>,
  signal: AbortSignal,
): AsyncGenerator<ConversationEvent> {
  const response = await send(path, { ...json("POST", { ...body, stream: true }), signal });
  if (!response.body) return;
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (value.data === "[DONE]") return;
      yield JSON.parse(value.data) as ConversationEvent;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
