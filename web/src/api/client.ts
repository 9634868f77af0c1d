/** One thin function a route; an error's message is the sentence that the page shows. */
import type {
  ApiKey,
  Conversation,
  Folders,
  History,
  Library,
  LibraryDocument,
  LibrarySource,
  ModelCard,
  NewApiKey,
  PassageInDocument,
  PassageReference,
  PassageState,
  WhoAmI,
} from "@/api/types";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

interface Page<T> {
  data: T[];
}

const UNREACHABLE = "Ponant does not answer. Check that `ponant serve` is running, then try again.";

/** Sends a request with the session's cookie; throws ApiError for anything but success. */
export async function send(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(UNREACHABLE, 0);
  }
  if (!response.ok) throw new ApiError(await sentence(response), response.status);
  return response;
}

/** The options of a request that carries JSON. */
export function json(method: string, body: unknown): RequestInit {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function sentence(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => null);
  if (typeof body === "object" && body !== null && "message" in body) {
    if (typeof body.message === "string" && body.message !== "") return body.message;
  }
  return `Ponant answered with status ${response.status}. Try again, or look at the server's log.`;
}

async function read<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await send(path, init);
  return (await response.json()) as T;
}

async function drop(path: string): Promise<void> {
  await send(path, { method: "DELETE" });
}

const part = encodeURIComponent;

export const api = {
  session: {
    open: (token: string) => read<WhoAmI>("/v1/session", json("POST", { token })),
    close: () => drop("/v1/session"),
    /** Who is signed in, or null. */
    whoami: async (): Promise<WhoAmI | null> => {
      try {
        return await read<WhoAmI>("/v1/whoami");
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
  },
  keys: {
    list: async () => (await read<Page<ApiKey>>("/v1/admin/api-keys")).data,
    create: (name: string) => read<NewApiKey>("/v1/admin/api-keys", json("POST", { name })),
    revoke: (id: string) => drop(`/v1/admin/api-keys/${part(id)}`),
  },
  models: {
    list: async () => (await read<Page<ModelCard>>("/v1/models")).data,
  },
  libraries: {
    list: async () => (await read<Page<Library>>("/v1/libraries")).data,
    get: (id: string) => read<Library>(`/v1/libraries/${part(id)}`),
    create: (name: string) => read<Library>("/v1/libraries", json("POST", { name })),
    sample: () => read<Library & { path: string }>("/v1/libraries/sample", { method: "POST" }),
    remove: (id: string) => drop(`/v1/libraries/${part(id)}`),
    questions: async (id: string) =>
      (await read<Page<string>>(`/v1/libraries/${part(id)}/questions`)).data,
    sources: async (id: string) =>
      (await read<Page<LibrarySource>>(`/v1/libraries/${part(id)}/sources`)).data,
    addFolder: (id: string, path: string) =>
      read<LibrarySource>(
        `/v1/libraries/${part(id)}/sources`,
        json("POST", { kind: "folder", config: { path } }),
      ),
    removeSource: (id: string, source: string) =>
      drop(`/v1/libraries/${part(id)}/sources/${part(source)}`),
    documents: async (id: string) =>
      (await read<Page<LibraryDocument>>(`/v1/libraries/${part(id)}/documents?page_size=100`)).data,
    addFile: (id: string, file: File) => {
      const form = new FormData();
      form.append("file", file);
      return read<LibraryDocument>(`/v1/libraries/${part(id)}/documents`, {
        method: "POST",
        body: form,
      });
    },
    removeDocument: (id: string, document: string) =>
      drop(`/v1/libraries/${part(id)}/documents/${part(document)}`),
  },
  folders: (path: string | null) =>
    read<Folders>(path === null ? "/v1/folders" : `/v1/folders?path=${part(path)}`),
  passages: {
    check: async (passages: PassageReference[]) =>
      (await read<Page<PassageState>>("/v1/passages/check", json("POST", { passages }))).data,
    get: (id: string, library: string) =>
      read<PassageInDocument>(`/v1/passages/${part(id)}?library_id=${part(library)}`),
  },
  conversations: {
    list: () => read<Conversation[]>("/v1/conversations?page=0&page_size=100"),
    get: (id: string) => read<Conversation>(`/v1/conversations/${part(id)}`),
    history: (id: string) => read<History>(`/v1/conversations/${part(id)}/history`),
    remove: (id: string) => drop(`/v1/conversations/${part(id)}`),
    stop: async (id: string) => {
      await send(`/v1/conversations/${part(id)}/stop`, { method: "POST" });
    },
  },
};
