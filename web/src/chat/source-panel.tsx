/** The passage behind a citation, in its document as it reads now. */
import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useEffect, useMemo, useRef, type ReactNode } from "react";

import { api } from "@/api/client";
import type { AnswerSource, PassageInDocument, PassageState, Withheld } from "@/api/types";
import { cited, CLOSED, fromHistory, type Citation } from "@/chat/turns";
import { evidenceKey } from "@/live/evidence";
import { keys } from "@/live/events";
import { ago, useNow } from "@/live/time";
import { Button } from "@/ui/button";

interface SourcePanelProps {
  conversation: string | null;
  citation: Citation;
  /** The passage as the answer read it, where the server kept it. */
  read: AnswerSource | undefined;
  state: PassageState | undefined;
  onClose: () => void;
}

export function SourcePanel({ conversation, citation, read, state, onClose }: SourcePanelProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const gone = state?.state === "gone";
  const withheld = useWithheld(conversation, citation, gone);
  const closed = withheld === "closed";
  const { data, error, isPending } = useQuery({
    queryKey: [...keys.passage, citation.id, citation.library_id],
    queryFn: () => api.passages.get(citation.id, citation.library_id),
    retry: false,
    enabled: !closed,
  });

  useEffect(() => {
    heading.current?.focus();
  }, [citation]);

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key === "Escape") onClose();
    };
    document.addEventListener("keydown", onKeyDown);
    return () => {
      document.removeEventListener("keydown", onKeyDown);
    };
  }, [onClose]);

  const stale = state !== undefined && state.state !== "current";
  // What was read before stays at hand when it can be read no more, and is not to be shown then.
  const found = gone || error ? undefined : data;
  const shown = found?.document.version ?? read?.document_version;
  const title = closed ? CLOSED : citation.title;

  return (
    <section
      aria-label="Source"
      className="fixed inset-0 z-45 flex flex-col border-l bg-paper sm:left-auto sm:w-[26rem] xl:static xl:w-[26rem] xl:shrink-0"
    >
      <header className="flex items-start justify-between gap-2 border-b py-3 pr-2 pl-6">
        <div className="min-w-0 py-1">
          <h2 ref={heading} tabIndex={-1} className="font-semibold outline-none">
            Source {citation.number}
          </h2>
          <p className="text-sm [overflow-wrap:anywhere] text-quiet">
            {shown && withheld === null ? `${title}, version ${shown}` : title}
          </p>
        </div>
        <Button kind="quiet" size="icon" aria-label="Close source" onClick={onClose}>
          <X aria-hidden className="size-4" />
        </Button>
      </header>
      <div
        // A long document scrolls, so it must be reachable by keyboard.
        // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        className="min-h-0 flex-1 overflow-y-auto px-6 py-5 text-sm leading-relaxed"
      >
        {closed ? <ClosedNote /> : <StaleNote state={state} deleted={withheld === "gone"} />}
        {stale && withheld === null ? <AsRead read={read} /> : null}
        {isPending && !closed && !gone ? <p className="text-quiet">Opening the document</p> : null}
        {error && !gone ? <p>{error.message}</p> : null}
        {found && stale ? (
          <Titled title={`The document now, version ${found.document.version}`}>
            <Passage found={found} />
          </Titled>
        ) : null}
        {found && !stale ? <Passage found={found} /> : null}
      </div>
    </section>
  );
}

/**
 * Whether the server still hands out what a citation says; undefined until that is known.
 *
 * A passage that went away was cut out of a document that is still there, or its document was
 * deleted, or closed to the reader: the chat on the screen is older than that, its history is not.
 */
function useWithheld(
  conversation: string | null,
  citation: Citation,
  gone: boolean,
): Withheld | null | undefined {
  const { data } = useQuery({
    queryKey: [...keys.passage, "history", conversation],
    queryFn: () => api.conversations.history(conversation ?? ""),
    retry: false,
    enabled: gone && conversation !== null && citation.withheld === undefined,
    gcTime: 0,
  });
  if (citation.withheld !== undefined) return citation.withheld;
  if (!gone) return null;
  const same = fromHistory(data?.entries ?? [])
    .flatMap(cited)
    .find((one) => evidenceKey(one) === evidenceKey(citation));
  return same && (same.withheld ?? null);
}

function ClosedNote() {
  return (
    <p className="border-l-2 border-warm bg-warm-soft px-3 py-2">
      You may no longer read this document. What the answer says of it was read when you could. Ask
      whoever keeps the library to let you in again.
    </p>
  );
}

function StaleNote({ state, deleted }: { state: PassageState | undefined; deleted: boolean }) {
  const now = useNow();
  const when = state?.changed_at ? ` ${ago(state.changed_at, now)}` : "";
  if (deleted) {
    return (
      <p className="border-l-2 border-warm bg-warm-soft px-3 py-2">
        The document was deleted{when}, so what it said is no longer shown. Answer again to see what
        the documents say now.
      </p>
    );
  }
  if (!state || state.state === "current") return null;
  const what = state.state === "gone" ? "went away" : "changed";
  return (
    <p className="mb-4 border-l-2 border-warm bg-warm-soft px-3 py-2">
      This passage {what}
      {when}.
    </p>
  );
}

function AsRead({ read }: { read: AnswerSource | undefined }) {
  if (!read || read.withheld) return null;
  return (
    <Titled title={`As the answer read it, version ${read.document_version}`}>
      <p className="[overflow-wrap:anywhere] whitespace-pre-wrap text-quiet">{read.text}</p>
    </Titled>
  );
}

function Titled({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="mb-6">
      <h3 className="mb-2 text-xs font-semibold text-quiet">{title}</h3>
      {children}
    </div>
  );
}

function Passage({ found }: { found: PassageInDocument }) {
  const mark = useRef<HTMLElement>(null);
  const { text, start, end } = found;
  const [before, passage, after] = useMemo(() => cut(text, start, end), [text, start, end]);

  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, [text, start]);

  return (
    <div className="[overflow-wrap:anywhere] whitespace-pre-wrap">
      <span className="text-quiet">{before}</span>
      <mark ref={mark} className="rounded-sm bg-mark text-text">
        {passage}
      </mark>
      <span className="text-quiet">{after}</span>
    </div>
  );
}

/** The server counts characters, JavaScript counts halves of some of them. */
export function cut(text: string, start: number, end: number): [string, string, string] {
  const characters = Array.from(text);
  const slice = (from: number, to?: number) => characters.slice(from, to).join("");
  return [slice(0, start), slice(start, end), slice(end)];
}
