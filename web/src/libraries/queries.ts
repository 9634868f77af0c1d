/** What the page knows of libraries; changes arrive by event, the interval renews "as of". */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api } from "@/api/client";
import type { Library } from "@/api/types";
import { keys } from "@/live/events";

export function useLibraries() {
  return useQuery({
    queryKey: keys.libraries,
    queryFn: api.libraries.list,
    refetchInterval: 10_000,
  });
}

/** Makes a library and fills it; one that could not be filled is taken away again. */
async function filled(name: string, fill: (id: string) => Promise<void>): Promise<Library> {
  const library = await api.libraries.create(name);
  try {
    await fill(library.id);
  } catch (error) {
    await api.libraries.remove(library.id).catch(() => undefined);
    throw error;
  }
  return library;
}

export async function addFiles(id: string, files: File[]): Promise<void> {
  for (const file of files) await api.libraries.addFile(id, file);
}

export function libraryFromFiles(files: File[]): Promise<Library> {
  return filled("My files", (id) => addFiles(id, files));
}

export function libraryFromFolder(path: string): Promise<Library> {
  return filled(folderName(path), async (id) => {
    await api.libraries.addFolder(id, path);
  });
}

/** The last step of a path, whichever way its slashes lean. */
export function folderName(path: string): string {
  return path.split(/[/\\]/).findLast((step) => step !== "") ?? path;
}

/** The kinds of sources; they change with the server alone. */
export function useSourceKinds() {
  return useQuery({
    queryKey: ["source-kinds"],
    queryFn: api.sourceKinds,
    staleTime: Infinity,
  });
}

/** What could not be read, with the reasons. */
export function useFailed(library: string) {
  return useQuery({
    queryKey: [...keys.library(library), "failed"],
    queryFn: () => api.libraries.failed(library),
  });
}

/** A change to a library, after which everything that shows it is asked for again. */
export function useLibraryChange<Input, Result>(change: (input: Input) => Promise<Result>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    gcTime: 0, // what was sent may hold a password
    onSettled: () =>
      Promise.all([
        client.invalidateQueries({ queryKey: keys.libraries }),
        client.invalidateQueries({ queryKey: ["library"] }),
      ]),
  });
}
