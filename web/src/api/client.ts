/** One thin function a route; an error's message is the sentence that the page shows. */
import { at } from "@/api/path";
import type {
  ApiKey,
  Conversation,
  Folders,
  Group,
  History,
  Library,
  LibraryDocument,
  LibrarySource,
  ModelCard,
  NewApiKey,
  NewSignIn,
  NewSource,
  NewWatch,
  PassageInDocument,
  PassageReference,
  PassageState,
  Person,
  Role,
  SignInLink,
  SourceKind,
  Table,
  Watch,
  WatchEvent,
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

interface DocumentPage extends Page<LibraryDocument> {
  pagination: { total_items: number };
}

interface Retried {
  /** How many documents are read again. */
  retried: number;
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

export const api = {
  session: {
    open: (token: string) => read<WhoAmI>(at("/v1/session"), json("POST", { token })),
    close: () => drop(at("/v1/session")),
    /** Who is signed in, or null. */
    whoami: async (): Promise<WhoAmI | null> => {
      try {
        return await read<WhoAmI>(at("/v1/whoami"));
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) return null;
        throw error;
      }
    },
  },
  keys: {
    list: async () => (await read<Page<ApiKey>>(at("/v1/admin/api-keys"))).data,
    create: (name: string) => read<NewApiKey>(at("/v1/admin/api-keys"), json("POST", { name })),
    revoke: (id: string) => drop(at("/v1/admin/api-keys/{key_id}", { key_id: id })),
  },
  people: {
    list: async () => (await read<Page<Person>>(at("/v1/people"))).data,
    add: (person: { name: string; email: string | null; role: Role }) =>
      read<Person>(at("/v1/people"), json("POST", person)),
    setRole: (id: string, role: Role) =>
      read<Person>(at("/v1/people/{person_id}", { person_id: id }), json("PATCH", { role })),
    remove: (id: string) => drop(at("/v1/people/{person_id}", { person_id: id })),
    invite: (id: string) =>
      read<SignInLink>(at("/v1/people/{person_id}/links", { person_id: id }), { method: "POST" }),
  },
  groups: {
    list: async () => (await read<Page<Group>>(at("/v1/groups"))).data,
    add: (name: string) => read<Group>(at("/v1/groups"), json("POST", { name })),
    remove: (id: string) => drop(at("/v1/groups/{group}", { group: id })),
    join: (id: string, person: string) =>
      read<Group>(at("/v1/groups/{group}/members/{person_id}", { group: id, person_id: person }), {
        method: "PUT",
      }),
    leave: (id: string, person: string) =>
      drop(at("/v1/groups/{group}/members/{person_id}", { group: id, person_id: person })),
  },
  models: {
    list: async () => (await read<Page<ModelCard>>(at("/v1/models"))).data,
  },
  libraries: {
    list: async () => (await read<Page<Library>>(at("/v1/libraries"))).data,
    get: (id: string) => read<Library>(at("/v1/libraries/{library_id}", { library_id: id })),
    create: (name: string) => read<Library>(at("/v1/libraries"), json("POST", { name })),
    sample: () => read<Library & { path: string }>(at("/v1/libraries/sample"), { method: "POST" }),
    remove: (id: string) => drop(at("/v1/libraries/{library_id}", { library_id: id })),
    questions: async (id: string) =>
      (await read<Page<string>>(at("/v1/libraries/{library_id}/questions", { library_id: id })))
        .data,
    sources: async (id: string) =>
      (
        await read<Page<LibrarySource>>(
          at("/v1/libraries/{library_id}/sources", { library_id: id }),
        )
      ).data,
    addSource: (id: string, source: NewSource) =>
      read<LibrarySource>(
        at("/v1/libraries/{library_id}/sources", { library_id: id }),
        json("POST", source),
      ),
    addFolder: (id: string, path: string) =>
      api.libraries.addSource(id, { kind: "folder", config: { path }, secrets: {} }),
    signIn: (id: string, source: string, given: NewSignIn) =>
      read<LibrarySource>(
        at("/v1/libraries/{library_id}/sources/{source_id}", {
          library_id: id,
          source_id: source,
        }),
        json("PATCH", given),
      ),
    retrySource: (id: string, source: string) =>
      read<Retried>(
        at("/v1/libraries/{library_id}/sources/{source_id}/retry", {
          library_id: id,
          source_id: source,
        }),
        { method: "POST" },
      ),
    failed: (id: string) =>
      read<DocumentPage>(
        `${at("/v1/libraries/{library_id}/failed", { library_id: id })}?page_size=100`,
      ),
    retry: (id: string) =>
      read<Retried>(at("/v1/libraries/{library_id}/retry", { library_id: id }), {
        method: "POST",
      }),
    removeSource: (id: string, source: string) =>
      drop(
        at("/v1/libraries/{library_id}/sources/{source_id}", { library_id: id, source_id: source }),
      ),
    documents: (id: string) =>
      read<DocumentPage>(
        `${at("/v1/libraries/{library_id}/documents", { library_id: id })}?page_size=100`,
      ),
    addFile: (id: string, file: File) => {
      const form = new FormData();
      form.append("file", file);
      return read<LibraryDocument>(at("/v1/libraries/{library_id}/documents", { library_id: id }), {
        method: "POST",
        body: form,
      });
    },
    removeDocument: (id: string, document: string) =>
      drop(
        at("/v1/libraries/{library_id}/documents/{document_id}", {
          library_id: id,
          document_id: document,
        }),
      ),
  },
  sourceKinds: async () => (await read<Page<SourceKind>>(at("/v1/sources/kinds"))).data,
  tables: async () => (await read<Page<Table>>(at("/v1/tables"))).data,
  folders: (path: string | null) =>
    read<Folders>(at("/v1/folders") + (path === null ? "" : `?path=${encodeURIComponent(path)}`)),
  passages: {
    check: async (passages: PassageReference[]) =>
      (await read<Page<PassageState>>(at("/v1/passages/check"), json("POST", { passages }))).data,
    get: (id: string, library: string) =>
      read<PassageInDocument>(
        `${at("/v1/passages/{passage_id}", { passage_id: id })}?library_id=${encodeURIComponent(library)}`,
      ),
  },
  watches: {
    list: async () => (await read<Page<Watch>>(at("/v1/watches"))).data,
    get: (id: string) => read<Watch>(at("/v1/watches/{watch_id}", { watch_id: id })),
    create: (watch: NewWatch) => read<Watch>(at("/v1/watches"), json("POST", watch)),
    /** The secret comes back once, with the first address. */
    tell: (id: string, webhook: string) =>
      read<Watch & { secret?: string }>(
        at("/v1/watches/{watch_id}", { watch_id: id }),
        json("PATCH", { webhook }),
      ),
    pause: (id: string) =>
      read<Watch>(at("/v1/watches/{watch_id}/pause", { watch_id: id }), { method: "POST" }),
    resume: (id: string) =>
      read<Watch>(at("/v1/watches/{watch_id}/resume", { watch_id: id }), { method: "POST" }),
    remove: (id: string) => drop(at("/v1/watches/{watch_id}", { watch_id: id })),
    events: async (id: string) =>
      (await read<Page<WatchEvent>>(at("/v1/watches/{watch_id}/events", { watch_id: id }))).data,
  },
  conversations: {
    list: () => read<Conversation[]>(`${at("/v1/conversations")}?page_size=100`),
    get: (id: string) =>
      read<Conversation>(at("/v1/conversations/{conversation_id}", { conversation_id: id })),
    history: (id: string) =>
      read<History>(at("/v1/conversations/{conversation_id}/history", { conversation_id: id })),
    remove: (id: string) =>
      drop(at("/v1/conversations/{conversation_id}", { conversation_id: id })),
    stop: async (id: string) => {
      await send(at("/v1/conversations/{conversation_id}/stop", { conversation_id: id }), {
        method: "POST",
      });
    },
  },
};
