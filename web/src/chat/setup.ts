/** What answers a chat and what it may read: chosen for a new one, settled for one that has begun. */
import { useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import type { Library, ModelCard } from "@/api/types";
import { useChosenLibraries, useChosenModel } from "@/chat/choices";
import { useLibraries } from "@/libraries/queries";
import { keys } from "@/live/events";
import { useModels } from "@/models/queries";

export interface Setup {
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

export function useSetup(id: string | null): Setup {
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
