/** The turns of a conversation, and how more are added. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import { at } from "@/api/path";
import { resumption } from "@/api/stream";
import type { Setup } from "@/chat/setup";
import { chats, DRAFT, useChat, type Ask } from "@/chat/store";
import { fromHistory, type Turn } from "@/chat/turns";
import { keys } from "@/live/events";

/** Those being answered, or else those that the server keeps. */
export function useTurns(id: string | null) {
  const chat = useChat(id ?? DRAFT);
  const history = useQuery({
    queryKey: keys.history(id ?? DRAFT),
    queryFn: () => api.conversations.history(id ?? ""),
    enabled: id !== null && !chat,
    gcTime: 0,
  });
  const kept = useMemo(
    () => (history.data ? fromHistory(history.data.entries) : []),
    [history.data],
  );
  useResumption(id, chat ? [] : kept);
  return {
    turns: chat?.turns ?? kept,
    running: chat?.running != null,
    error: chat ? null : history.error,
  };
}

/** A question without an answer may be being answered just now: read on. */
function useResumption(id: string | null, kept: Turn[]) {
  const open = kept.at(-1);
  useEffect(() => {
    if (id === null || open?.outputId !== null) return;
    const ask = { question: open.question, before: kept.slice(0, -1) };
    void chats.ask({ conversation: id, request: resumption(id, 0), ...ask }, {});
  }, [id, kept, open]);
}

/** Asking a new question, and asking an old one anew. */
export function useAsking(id: string | null, turns: Turn[], setup: Setup) {
  const client = useQueryClient();
  const [, navigate] = useLocation();

  const start = async (ask: Ask): Promise<Turn> => {
    const refresh = () => client.invalidateQueries({ queryKey: keys.conversations });
    const turn = await chats.ask(ask, {
      onNamed: (named, formerly) => {
        void refresh();
        // Whoever went elsewhere in the meantime stays there.
        const here = formerly === DRAFT ? "/" : `/chat/${formerly}`;
        if (location.pathname === here) navigate(`/chat/${named}`, { replace: formerly !== DRAFT });
      },
    });
    void refresh();
    return turn;
  };

  const ask = (question: string) => {
    const body = id === null ? opening(question, setup) : { inputs: question };
    const path =
      id === null
        ? at("/v1/conversations")
        : at("/v1/conversations/{conversation_id}", { conversation_id: id });
    void start({
      conversation: id,
      request: { path, body },
      question,
      before: id === null ? [] : turns,
    });
  };

  /** The new answer takes the place of the old: in a conversation of its own, as restarting makes one. */
  const renew = async (id: string, turn: Turn) => {
    const place = turns.indexOf(turn);
    const body = { from_entry_id: await questionAt(id, place) };
    const path = at("/v1/conversations/{conversation_id}/restart", { conversation_id: id });
    const before = turns.slice(0, place);
    const renewed = await start({
      conversation: id,
      request: { path, body },
      question: turn.question,
      before,
    });
    // What was asked after an older answer lives on where it was asked.
    if (renewed.state !== "done" || place !== turns.length - 1) return;
    await api.conversations.remove(id);
    await client.invalidateQueries({ queryKey: keys.conversations });
  };

  const renewal = useMutation({
    mutationFn: async (turn: Turn) => {
      if (id === null) ask(turn.question);
      else await renew(id, turn);
    },
  });

  return { ask, again: renewal.mutate, renewing: renewal.isPending, error: renewal.error };
}

function opening(question: string, { libraries, model }: Setup): Record<string, unknown> {
  const library_ids = libraries.map((library) => library.id);
  const tools = library_ids.length === 0 ? [] : [{ type: "document_library", library_ids }];
  return { inputs: question, model, tools };
}

/** The entry of the question at a place; looked up, since a restarted conversation has new names. */
async function questionAt(conversation: string, place: number): Promise<string | undefined> {
  const { entries } = await api.conversations.history(conversation);
  return entries.filter((entry) => entry.type === "message.input")[place]?.id;
}
