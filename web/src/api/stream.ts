/** Reads a conversation's answer as it is written. */
import { EventSourceParserStream } from "eventsource-parser/stream";

import { json, send } from "@/api/client";
import { at } from "@/api/path";
import type { ConversationEvent } from "@/api/types";

/** A request whose response is an answer's events. */
export interface AnswerRequest {
  path: string;
  /** What is posted; null reads an answer that is already being given. */
  body: Record<string, unknown> | null;
}

export interface NumberedEvent {
  number: number;
  event: ConversationEvent;
}

/** The events from where a reader lost its place. */
export function resumption(conversation: string, after: number): AnswerRequest {
  return {
    path: `${at("/v1/conversations/{conversation_id}/events", { conversation_id: conversation })}?after=${after}`,
    body: null,
  };
}

/** Yields each event with its number; ends when the server closes or ``signal`` aborts. */
export async function* streamAnswer(
  { path, body }: AnswerRequest,
  signal: AbortSignal,
): AsyncGenerator<NumberedEvent> {
  const init = body === null ? {} : json("POST", { ...body, stream: true });
  const response = await send(path, { ...init, signal });
  if (!response.body) return;
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield { number: Number(value.id ?? 0), event: JSON.parse(value.data) as ConversationEvent };
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
