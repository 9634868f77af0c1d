/** The shapes that the page and the server exchange, named as in the HTTP reference. */

export interface Named {
  id: string;
  name: string;
}

export type Role = "admin" | "member" | "viewer";

export interface WhoAmI {
  person: Named & { role: Role };
  workspace: Named;
  organisation: Named;
}

export interface ApiKey {
  id: string;
  name: string;
  created_at: string;
  last_used_at?: string | null;
  revoked_at?: string | null;
  /** The last characters, to tell keys apart. */
  hint?: string | null;
}

export interface NewApiKey extends ApiKey {
  key: string;
}

export interface Person {
  id: string;
  name: string;
  email: string | null;
  role: Role;
  groups: string[];
}

export interface Group {
  id: string;
  name: string;
  /** Ids of people, who may be members of another workspace. */
  members: string[];
}

/** A link that signs somebody in once. */
export interface SignInLink {
  person_id: string;
  path: string;
}

export interface ModelCard {
  id: string;
  aliases?: string[];
  max_context_length?: number;
  ponant: {
    place: "here" | "elsewhere";
    state: string;
    detail?: string;
    backend?: string;
    chat: boolean;
    embedding: boolean;
    origin?: string;
    licence?: string;
    restrictions?: string;
    name?: string;
    description?: string;
  };
}

export type SyncState = "in_step" | "syncing" | "error";

export interface Freshness {
  state: SyncState;
  version: number;
  as_of: string;
  pending: number;
  message: string;
}

export interface Library {
  id: string;
  name: string;
  description?: string | null;
  created_at: string;
  updated_at: string;
  total_size: number;
  nb_documents: number;
  freshness: Freshness;
}

export interface LibrarySource {
  id: string;
  kind: string;
  config: Record<string, unknown>;
  state: SyncState;
  /** What is wrong and its mend, or what else is worth knowing. */
  message: string;
  /** Whether what it signs in with was refused, or is lost. */
  refused: boolean;
  /** Documents that it has, and of them: read, found by meaning too, not readable, still to do. */
  seen: number;
  indexed: number;
  embedded: number;
  failed: number;
  pending: number;
  checked_at: string | null;
  /** Documents a second, and the seconds left, while it is being read. */
  rate: number;
  seconds_left: number | null;
  /** Seconds between two looks where it is polled. */
  interval: number | null;
}

/** A setting of a kind of source, as JSON schema has it. */
export interface SettingSchema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: string[];
  anyOf?: SettingSchema[];
  minimum?: number;
  maximum?: number;
}

export interface SourceKind {
  name: string;
  hint: string;
  reaches: "machine" | "network" | "none";
  /** Names of what is sent beside the settings and never shown. */
  secrets: string[];
  /** Settings that say who signs in. */
  signs_in_as: string[];
  settings: {
    $ref: string;
    $defs: Record<string, { properties?: Record<string, SettingSchema>; required?: string[] }>;
  };
}

export interface NewSource {
  kind: string;
  config: Record<string, unknown>;
  secrets: Record<string, string>;
}

/** Another password or key for a source; what is not named stays. */
export type NewSignIn = Omit<NewSource, "kind">;

export interface LibraryDocument {
  id: string;
  name: string;
  size: number;
  process_status: string;
  created_at: string;
  updated_at?: string | null;
  version?: number;
  message?: string | null;
  source_id?: string | null;
}

export interface Folders {
  path: string | null;
  parent: string | null;
  folders: { name: string; path: string }[];
  roots: string[];
}

export interface LibraryChanged {
  library_id: string;
  version: number;
  as_of: string;
  documents?: { id: string; name: string; change: "added" | "updated" | "deleted" }[];
  freshness?: Freshness;
  /** How far its sources are. */
  sources?: (Pick<LibrarySource, "id"> & Partial<LibrarySource>)[];
}

/** What an answer keeps of a passage: enough to ask later whether it still holds. */
export interface PassageReference {
  id: string;
  hash: string;
  library_id: string;
}

export interface PassageState {
  id: string;
  state: "current" | "changed" | "gone";
  changed_at: string | null;
}

export interface PassageInDocument {
  passage: { hash: string; heading?: string; text: string };
  document: { id: string; name: string; version: number; state?: string };
  text: string;
  start: number;
  end: number;
}

/** A passage that was handed to the model, under the number that it may cite. */
export interface AnswerSource {
  number: number;
  passage_id: string;
  hash: string;
  library_id: string;
  document_id: string;
  document_name: string;
  document_version: number;
  heading: string;
  text: string;
  start: number;
  end: number;
  /** Whether name and text are left out, since one may no longer read it or it is gone. */
  withheld?: boolean;
}

export interface Conversation {
  id: string;
  name?: string | null;
  model?: string | null;
  created_at: string;
  updated_at: string;
  metadata?: { library_ids?: string[] } | null;
}

export interface TextChunk {
  type: "text";
  text: string;
}

export interface ReferenceChunk {
  type: "tool_reference";
  tool: string;
  title: string;
  url?: string | null;
  number: number;
  passage_id: string;
  hash: string;
  library_id: string;
  withheld?: Withheld;
}

/** Why a document is not shown that an answer rests on. */
export type Withheld = "closed" | "gone";

export type Content = string | (TextChunk | ReferenceChunk)[];

export type AnswerState = "done" | "stopped" | "failed";

export type HistoryEntry =
  | { type: "message.input"; id: string; role: string; content: Content }
  | {
      type: "message.output";
      id: string;
      content: Content;
      ponant?: { state?: AnswerState; forgotten?: number } | null;
    }
  | { type: "tool.execution"; id: string; name: string; info?: SearchInfo | null };

export interface SearchInfo {
  sources?: AnswerSource[];
  version?: number;
  as_of?: string;
}

export interface History {
  conversation_id: string;
  entries: HistoryEntry[];
}

export type ConversationEvent =
  | { type: "conversation.response.started"; conversation_id: string }
  | { type: "tool.execution.started"; id: string; name: string }
  | { type: "tool.execution.done"; id: string; name: string; info?: SearchInfo | null }
  | { type: "message.output.delta"; id: string; content: string | TextChunk | ReferenceChunk }
  | {
      type: "conversation.response.done";
      ponant?: {
        sources?: AnswerSource[];
        tokens_per_second?: number | null;
        state?: AnswerState;
        /** How many earlier entries did not fit what the model reads at once. */
        forgotten?: number;
      } | null;
    }
  | { type: "conversation.response.error"; message: string; code: number };

export type WatchKind = "question" | "search" | "sql";

export type WatchState = "answering" | "in_step" | "paused";

/** A row by its columns. */
export type Row = Record<string, unknown>;

/** What a watch says: text with its sources behind what they bear out, passages, or rows. */
export interface WatchAnswer {
  text: string;
  content: (string | AnswerSource)[];
  passages: AnswerSource[];
  rows: Row[];
  /** Whether rows are left out, since one may no longer ask one of their tables. */
  withheld: boolean;
}

export interface NewWatch {
  kind: WatchKind;
  query: string;
  name?: string;
  model?: string;
  library_ids?: string[];
}

/** What SQL may ask. */
export interface Table {
  name: string;
  columns: { name: string; type: string }[];
}

export interface Watch {
  id: string;
  kind: WatchKind;
  name: string;
  query: string;
  model: string;
  library_ids: string[];
  webhook: string | null;
  state: WatchState;
  /** Why it is paused, or what it waits for. */
  reason: string;
  answer: WatchAnswer | null;
  as_of: string | null;
  answered_at: string | null;
  changed_at: string | null;
  calls: number;
}

/** A passage that came, went, or reads otherwise now. */
export interface MovedPassage {
  what: "added" | "changed" | "removed" | "left";
  document_name: string;
  heading: string;
  passage_id: string;
  before: string | null;
  after: string | null;
}

export interface WatchEvent {
  id: string;
  watch_id: string;
  number: number;
  happening: "answered" | "changed" | "stands" | "paused" | "resumed";
  at: string;
  old: WatchAnswer | null;
  new: WatchAnswer | null;
  moved: MovedPassage[];
  reason: string;
}
