/** The chat: what was asked and answered, and where the next question is written. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import type { Library, ModelCard } from "@/api/types";
import { Composer } from "@/chat/composer";
import { isStale } from "@/chat/evidence-line";
import { LibraryFace, LibraryPicker, ModelPicker, placeWords } from "@/chat/pickers";
import { SourcePanel } from "@/chat/source-panel";
import { StartPanel } from "@/chat/start-panel";
import { chats, DRAFT, useChat, type Ask } from "@/chat/store";
import { Thread } from "@/chat/thread";
import { cited, fromHistory, type Citation, type Turn } from "@/chat/turns";
import { useChosenLibraries, useChosenModel } from "@/chat/choices";
import { useLibraries } from "@/libraries/queries";
import { evidenceKey, useEvidence } from "@/live/evidence";
import { keys } from "@/live/events";
import { useModels } from "@/models/queries";
import { ErrorLine } from "@/ui/dialog";
import { useTitle } from "@/ui/title";

interface Opened {
  turn: string;
  citation: Citation;
}

/** One conversation, or the start of one where ``id`` is null. */
export function ChatScreen({ id }: { id: string | null }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const { turns, running, error } = useTurns(id);
  const setup = useSetup(id);
  useTitle(turns[0]?.question);
  const evidence = useEvidence(turns.flatMap(cited));
  const asking = useAsking(id, turns, setup);

  const onOpen = useCallback((turn: Turn, citation: Citation) => {
    setOpened({ turn: turn.key, citation });
  }, []);
  const openedTurn = turns.find((turn) => turn.key === opened?.turn);

  return (
    <div className="flex h-full min-w-0">
      <div className="flex h-full min-w-0 flex-1 flex-col">
        <TopBar fixed={id !== null} setup={setup} />
        {turns.length === 0 && id === null ? (
          <StartPanel libraries={setup.libraries} onAsk={asking.ask} />
        ) : (
          <Thread
            key={id ?? DRAFT}
            turns={turns}
            evidence={evidence}
            opened={opened}
            busy={running}
            onOpen={onOpen}
            onAgain={asking.again}
          />
        )}
        <div className="mx-auto w-full max-w-[46rem] px-4 pb-4 sm:px-6">
          <ErrorLine error={error ?? setup.error} />
          {setup.isEmpty ? <NoModel /> : null}
          <Composer
            chat={id ?? DRAFT}
            running={running}
            disabled={setup.model === null}
            onSend={asking.ask}
            onStop={() => {
              chats.stop(id ?? DRAFT);
            }}
          />
        </div>
      </div>
      {opened && openedTurn ? (
        <SourcePanel
          citation={opened.citation}
          read={openedTurn.sources?.find((source) => source.number === opened.citation.number)}
          state={evidence.get(evidenceKey(opened.citation))}
          onClose={() => {
            setOpened(null);
          }}
        />
      ) : null}
      <p role="status" className="sr-only">
        {staleNumbers(turns, evidence)}
      </p>
    </div>
  );
}

/** Said once to those who listen rather than look; the line under the answer counts the seconds. */
function staleNumbers(turns: Turn[], evidence: ReturnType<typeof useEvidence>): string {
  const last = turns.at(-1);
  if (!last) return "";
  return cited(last)
    .map((citation) => ({ citation, state: evidence.get(evidenceKey(citation)) }))
    .filter(isStale)
    .map((rest) => `Source ${rest.citation.number} changed. You can answer again.`)
    .join(" ");
}

/** The turns of a conversation: those being answered, or else those that the server keeps. */
function useTurns(id: string | null) {
  const chat = useChat(id ?? DRAFT);
  const history = useQuery({
    queryKey: keys.history(id ?? DRAFT),
    queryFn: () => api.conversations.history(id ?? ""),
    enabled: id !== null && !chat,
  });
  const kept = useMemo(
    () => (history.data ? fromHistory(history.data.entries) : []),
    [history.data],
  );
  return {
    turns: chat?.turns ?? kept,
    running: chat?.running != null,
    error: chat ? null : history.error,
  };
}

interface Setup {
  model: string | null;
  models: ModelCard[];
  all: Library[];
  libraries: Library[];
  /** The server has no model that answers. */
  isEmpty: boolean;
  chooseModel: (id: string) => void;
  chooseLibraries: (ids: string[]) => void;
  error: Error | null;
}

/** What answers: chosen for a new chat, settled for one that has begun. */
function useSetup(id: string | null): Setup {
  const models = useModels();
  const libraries = useLibraries();
  const conversation = useQuery({
    queryKey: [...keys.conversations, id],
    queryFn: () => api.conversations.get(id ?? ""),
    enabled: id !== null,
  });
  const [wantedModel, chooseModel] = useChosenModel();
  const [wantedLibraries, chooseLibraries] = useChosenLibraries();

  const chat = (models.data ?? []).filter((model) => model.ponant.chat);
  const all = libraries.data ?? [];
  const settled = id === null ? undefined : conversation.data;
  const wanted =
    settled?.metadata?.library_ids ?? wantedLibraries ?? all.slice(0, 1).map(({ id }) => id);
  // The echo model answers tests, not people, so it is never chosen unasked.
  const usual = chat.find((one) => one.ponant.backend !== "echo") ?? chat[0];
  const model = chat.find((one) => one.id === wantedModel) ?? usual;
  return {
    model: settled?.model ?? model?.id ?? null,
    models: chat,
    all,
    libraries: all.filter((library) => wanted.includes(library.id)),
    isEmpty: models.data !== undefined && chat.length === 0,
    chooseModel,
    chooseLibraries,
    error: models.error ?? libraries.error,
  };
}

function NoModel() {
  return (
    <p className="mb-3 text-sm">
      There is no model to answer. On the machine that runs Ponant, run{" "}
      <code className="font-mono text-xs">ponant setup</code>, or{" "}
      <code className="font-mono text-xs">ponant doctor</code> to see what is missing.
    </p>
  );
}

/** Asking a new question, and asking an old one anew. */
function useAsking(id: string | null, turns: Turn[], setup: Setup) {
  const client = useQueryClient();
  const [, navigate] = useLocation();

  const start = (ask: Ask) => {
    void chats.ask(ask, {
      onNamed: (named) => {
        void client.invalidateQueries({ queryKey: keys.conversations });
        navigate(`/chat/${named}`);
      },
      onSettled: () => {
        void client.invalidateQueries({ queryKey: keys.conversations });
      },
    });
  };
  const ask = (question: string) => {
    if (id !== null) {
      const path = `/v1/conversations/${id}`;
      start({ conversation: id, path, body: { inputs: question }, question, before: turns });
      return;
    }
    const ids = setup.libraries.map((library) => library.id);
    const tools = ids.length === 0 ? [] : [{ type: "document_library", library_ids: ids }];
    const body = { inputs: question, model: setup.model, tools };
    start({ conversation: null, path: "/v1/conversations", body, question, before: [] });
  };
  const again = (turn: Turn) => {
    ask(turn.question);
  };
  return { ask, again };
}

/** Above the chat: what answers and what it may read. */
function TopBar({ fixed, setup }: { fixed: boolean; setup: Setup }) {
  return (
    <div className="flex h-14 shrink-0 items-center gap-1 pr-4 pl-14 md:pl-4">
      {fixed ? (
        <Settled setup={setup} />
      ) : (
        <>
          <ModelPicker models={setup.models} value={setup.model} onChange={setup.chooseModel} />
          <LibraryPicker
            libraries={setup.all}
            chosen={setup.libraries.map((library) => library.id)}
            onChange={setup.chooseLibraries}
          />
        </>
      )}
    </div>
  );
}

function Settled({ setup }: { setup: Setup }) {
  const card = setup.models.find((model) => model.id === setup.model);
  return (
    <p className="flex min-w-0 items-center gap-1.5 px-2.5 text-sm">
      <span className="truncate font-medium">{setup.model}</span>
      {card ? (
        <span className="hidden truncate text-quiet sm:inline">{placeWords(card)}</span>
      ) : null}
      <span aria-hidden className="px-1.5 text-quiet">
        ·
      </span>
      <LibraryFace libraries={setup.libraries} />
    </p>
  );
}
