/** A chat as the page shows it: questions with their answers, built from history or from a stream. */
import type {
  AnswerSource,
  Content,
  ConversationEvent,
  HistoryEntry,
  PassageReference,
  ReferenceChunk,
  TextChunk,
  Withheld,
} from "@/api/types";

export interface Citation extends PassageReference {
  kind: "citation";
  number: number;
  title: string;
  withheld?: Withheld | undefined;
}

export type Part = { kind: "text"; text: string } | Citation;

export type TurnState = "waiting" | "searching" | "writing" | "done" | "stopped" | "failed";

export interface Turn {
  key: string;
  question: string;
  /** The entry that holds the question or the answer, once the server has named it. */
  inputId: string | null;
  outputId: string | null;
  parts: Part[];
  /** What the model was given; null where no library was searched. */
  sources: AnswerSource[] | null;
  state: TurnState;
  error: string | null;
  tokensPerSecond: number | null;
  /** How many earlier entries of the chat the model could not read any more. */
  forgotten: number;
}

export const CLOSED = "You may no longer read this document";

let made = 0;

export function newTurn(question: string): Turn {
  made += 1;
  return {
    key: `turn-${made}`,
    question,
    inputId: null,
    outputId: null,
    parts: [],
    sources: null,
    state: "waiting",
    error: null,
    tokensPerSecond: null,
    forgotten: 0,
  };
}

/** The turn after one event of its stream. */
export function apply(turn: Turn, event: ConversationEvent): Turn {
  switch (event.type) {
    case "tool.execution.started":
      return { ...turn, state: "searching" };
    case "tool.execution.done":
      return { ...turn, sources: event.info?.sources ?? [] };
    case "message.output.delta":
      return {
        ...turn,
        state: "writing",
        outputId: event.id,
        parts: appended(turn.parts, event.content),
      };
    case "conversation.response.done":
      return {
        ...turn,
        state: event.ponant?.state ?? "done",
        tokensPerSecond: event.ponant?.tokens_per_second ?? null,
        forgotten: event.ponant?.forgotten ?? 0,
      };
    case "conversation.response.error":
      return { ...turn, state: "failed", error: event.message };
    default:
      return turn;
  }
}

/** Turns from what the server keeps. */
export function fromHistory(entries: HistoryEntry[]): Turn[] {
  const turns: Turn[] = [];
  for (const entry of entries) {
    if (entry.type === "message.input") {
      const question = plain(entry.content);
      turns.push({ ...newTurn(question), key: entry.id, inputId: entry.id, state: "stopped" });
      continue;
    }
    const turn = turns.pop();
    if (!turn) continue;
    turns.push(entry.type === "message.output" ? answered(turn, entry) : searched(turn, entry));
  }
  return turns;
}

function answered(turn: Turn, entry: HistoryEntry & { type: "message.output" }): Turn {
  const chunks = typeof entry.content === "string" ? [entry.content] : entry.content;
  return {
    ...turn,
    outputId: entry.id,
    state: entry.ponant?.state ?? "done",
    parts: chunks.reduce(appended, turn.parts),
    forgotten: entry.ponant?.forgotten ?? 0,
  };
}

function searched(turn: Turn, entry: HistoryEntry & { type: "tool.execution" }): Turn {
  return { ...turn, sources: entry.info?.sources ?? turn.sources ?? [] };
}

/** Private-use characters carry our citation marks through Markdown, so a model may write none. */
export const MARK_OPEN = "\uE000";
export const MARK_CLOSE = "\uE001";
const MARKS = /[\uE000\uE001]/g;

function appended(parts: Part[], content: string | TextChunk | ReferenceChunk): Part[] {
  if (typeof content !== "string" && content.type === "tool_reference") {
    return [...parts, citation(content)];
  }
  const text = (typeof content === "string" ? content : content.text).replace(MARKS, "");
  const last = parts.at(-1);
  if (last?.kind !== "text") return [...parts, { kind: "text", text }];
  return [...parts.slice(0, -1), { kind: "text", text: last.text + text }];
}

function citation(chunk: ReferenceChunk): Citation {
  return {
    kind: "citation",
    number: chunk.number,
    id: chunk.passage_id,
    hash: chunk.hash,
    library_id: chunk.library_id,
    title: chunk.withheld === "closed" ? CLOSED : chunk.title,
    withheld: chunk.withheld,
  };
}

function plain(content: Content): string {
  if (typeof content === "string") return content;
  return content.map((chunk) => (chunk.type === "text" ? chunk.text : "")).join("");
}

/** The answer as Markdown in which a citation is its number between two marks. */
export function markdown(parts: Part[]): string {
  return parts
    .map((part) => (part.kind === "text" ? part.text : `${MARK_OPEN}${part.number}${MARK_CLOSE}`))
    .join("");
}

/** The passages that an answer cites, each once, in the order of their numbers. */
export function cited(turn: Turn): Citation[] {
  const found = new Map<number, Citation>();
  for (const part of turn.parts) {
    if (part.kind === "citation") found.set(part.number, part);
  }
  return [...found.values()].sort((one, other) => one.number - other.number);
}

export function isRunning(turn: Turn | undefined): boolean {
  return turn?.state === "waiting" || turn?.state === "searching" || turn?.state === "writing";
}
