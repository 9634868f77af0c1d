/** The chats that are being answered. They live outside the screens, so an answer goes on while one looks elsewhere. */
import { useSyncExternalStore } from "react";

import { api, ApiError } from "@/api/client";
import { resumption, streamAnswer, type AnswerRequest, type NumberedEvent } from "@/api/stream";
import { apply, isRunning, newTurn, type Turn } from "@/chat/turns";

/** Stands for the chat that the server has not named yet. */
export const DRAFT = "draft";

const RETRIES = 5;
const RETRY_MS = 1000;

export interface Ask {
  /** The conversation that is continued; null starts one. */
  conversation: string | null;
  request: AnswerRequest;
  question: string;
  /** The turns that stand before the new one. */
  before: Turn[];
}

interface Listeners {
  /** The conversation got its name, or the answer went into a new one. */
  onNamed?: (id: string, formerly: string) => void;
}

interface Chat {
  turns: Turn[];
  /** Ends the reading of the answer that is being given; null when none is. */
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

  /** Ends an answer at the server, which keeps what was said and closes the stream. */
  stop(id: string): void {
    const running = this.#chats.get(id)?.running;
    if (!running) return;
    if (id === DRAFT) running.abort();
    else
      api.conversations.stop(id).catch(() => {
        running.abort();
      });
  }

  forget(id: string): void {
    this.#chats.get(id)?.running?.abort();
    this.#chats.delete(id);
    this.#tell();
  }

  /** Asks, and keeps the turn up to date until the answer ends, fails or is stopped. */
  async ask(ask: Ask, listeners: Listeners): Promise<Turn> {
    const running = new AbortController();
    const answer = new Answer(this.#put, ask, running, listeners);
    try {
      await answer.read();
      answer.end("stopped", null);
    } catch (error) {
      const nothingToRead = ask.request.body === null && error instanceof ApiError;
      if (running.signal.aborted || nothingToRead) answer.end("stopped", null);
      else answer.end("failed", error instanceof Error ? error.message : String(error));
    }
    return answer.turn;
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
  turn: Turn;
  #id: string;
  #seen = 0;

  constructor(
    private readonly put: (id: string, chat: Chat, formerly?: string) => void,
    private readonly ask: Ask,
    private readonly running: AbortController,
    private readonly listeners: Listeners,
  ) {
    this.#id = ask.conversation ?? DRAFT;
    this.turn = newTurn(ask.question);
    this.#write(this.running);
  }

  /** Reads to the end; where the connection breaks, goes on from the last event seen. */
  async read(): Promise<void> {
    let request = this.ask.request;
    for (let lost = 0; ; lost += 1) {
      try {
        for await (const numbered of streamAnswer(request, this.running.signal)) {
          this.#take(numbered);
        }
        return;
      } catch (error) {
        if (!this.#canGoOn(error) || lost === RETRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        request = resumption(this.#id, this.#seen);
      }
    }
  }

  /** Settles a turn that no last event settled. */
  end(state: "stopped" | "failed", error: string | null): void {
    if (isRunning(this.turn)) this.turn = { ...this.turn, state, error };
    this.#write(null);
  }

  #take({ number, event }: NumberedEvent): void {
    this.#seen = number;
    if (event.type === "conversation.response.started") this.#name(event.conversation_id);
    this.turn = apply(this.turn, event);
    this.#write(this.running);
  }

  /** A refusal is final; a cut is not, once the server has begun to answer. */
  #canGoOn(error: unknown): boolean {
    if (this.running.signal.aborted || this.#seen === 0) return false;
    return !(error instanceof ApiError) || error.status === 0;
  }

  #name(id: string): void {
    if (id === this.#id) return;
    const formerly = this.#id;
    this.#id = id;
    this.put(id, { turns: [...this.ask.before, this.turn], running: this.running }, formerly);
    this.listeners.onNamed?.(id, formerly);
  }

  #write(running: AbortController | null): void {
    this.put(this.#id, { turns: [...this.ask.before, this.turn], running });
  }
}

export const chats = new Chats();

/** The chat under ``id`` while it is being answered, and after. */
export function useChat(id: string): Chat | undefined {
  return useSyncExternalStore(chats.subscribe, () => chats.get(id));
}
