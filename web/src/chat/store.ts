/** The chats that are being answered. They live outside the screens, so an answer goes on while one looks elsewhere. */
import { useSyncExternalStore } from "react";

import { streamConversation } from "@/api/stream";
import type { ConversationEvent } from "@/api/types";
import { apply, newTurn, type Turn } from "@/chat/turns";

/** Stands for the chat that the server has not named yet. */
export const DRAFT = "draft";

export interface Ask {
  /** The conversation that is continued; null starts one. */
  conversation: string | null;
  path: string;
  body: Record<string, unknown>;
  question: string;
  /** The turns that stand before the new one. */
  before: Turn[];
}

interface Listeners {
  onNamed: (id: string) => void;
  onSettled: () => void;
}

interface Chat {
  turns: Turn[];
  running: AbortController | null;
}

class Chats {
  readonly #chats = new Map<string, Chat>();
  readonly #watchers = new Set<() => void>();

  subscribe = (watcher: () => void): (() => void) => {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  };

  get(id: string): Chat | undefined {
    return this.#chats.get(id);
  }

  stop(id: string): void {
    this.#chats.get(id)?.running?.abort();
  }

  forget(id: string): void {
    this.stop(id);
    this.#chats.delete(id);
    this.#tell();
  }

  /** Asks, and keeps the turn up to date until the answer ends, fails or is stopped. */
  async ask(ask: Ask, listeners: Listeners): Promise<void> {
    const running = new AbortController();
    const answer = new Answer(this.#put, ask, running, listeners);
    try {
      for await (const event of streamConversation(ask.path, ask.body, running.signal)) {
        answer.take(event);
      }
      answer.end("stopped", null);
    } catch (error) {
      if (running.signal.aborted) answer.end("stopped", null);
      else answer.end("failed", error instanceof Error ? error.message : String(error));
    }
    listeners.onSettled();
  }

  #put = (id: string, chat: Chat, formerly?: string): void => {
    if (formerly !== undefined) this.#chats.delete(formerly);
    this.#chats.set(id, chat);
    this.#tell();
  };

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }
}

/** One answer on its way into the store. */
class Answer {
  #id: string;
  #turn: Turn;

  constructor(
    private readonly put: (id: string, chat: Chat, formerly?: string) => void,
    private readonly ask: Ask,
    private readonly running: AbortController,
    private readonly listeners: Listeners,
  ) {
    this.#id = ask.conversation ?? DRAFT;
    this.#turn = newTurn(ask.question);
    this.#write(this.running);
  }

  take(event: ConversationEvent): void {
    if (event.type === "conversation.response.started") this.#name(event.conversation_id);
    this.#turn = apply(this.#turn, event);
    this.#write(this.running);
  }

  /** Settles a turn that no last event settled. */
  end(state: "stopped" | "failed", error: string | null): void {
    const settled = this.#turn.state === "done" || this.#turn.state === "failed";
    if (!settled) this.#turn = { ...this.#turn, state, error };
    this.#write(null);
  }

  #name(id: string): void {
    if (id === this.#id) return;
    const formerly = this.#id;
    this.#id = id;
    const chat = { turns: [...this.ask.before, this.#turn], running: this.running };
    this.put(id, chat, formerly);
    this.listeners.onNamed(id);
  }

  #write(running: AbortController | null): void {
    this.put(this.#id, { turns: [...this.ask.before, this.#turn], running });
  }
}

export const chats = new Chats();

/** The chat under ``id`` while it is being answered, and after. */
export function useChat(id: string): Chat | undefined {
  return useSyncExternalStore(chats.subscribe, () => chats.get(id));
}
