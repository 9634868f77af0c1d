/** The passage behind a citation, in its document as it reads now. */
import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import { useEffect, useMemo, useRef, type ReactNode } from "react";

import { api } from "@/api/client";
import type { AnswerSource, PassageInDocument, PassageState } from "@/api/types";
import type { Citation } from "@/chat/turns";
import { keys } from "@/live/events";
import { ago, useNow } from "@/live/time";
import { Button } from "@/ui/button";

interface SourcePanelProps {
  citation: Citation;
  /** The passage as the answer read it, where the server kept it. */
  read: AnswerSource | undefined;
  state: PassageState | undefined;
  onClose: () => void;
}

export function SourcePanel({ citation, read, state, onClose }: SourcePanelProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const closed = citation.withheld === "closed";
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
  const version = closed ? undefined : (data?.document.version ?? read?.document_version);

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
            {version ? `${citation.title}, version ${version}` : citation.title}
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
        {closed ? <ClosedNote /> : <StaleNote state={state} />}
        {stale && !closed ? <AsRead read={read} /> : null}
        {isPending && !closed ? <p className="text-quiet">Opening the document</p> : null}
        {error && state?.state !== "gone" ? <p>{error.message}</p> : null}
        {data && stale ? (
          <Titled title={`The document now, version ${data.document.version}`}>
            <Passage found={data} />
          </Titled>
        ) : null}
        {data && !stale ? <Passage found={data} /> : null}
      </div>
    </section>
  );
}

function ClosedNote() {
  return (
    <p className="border-l-2 border-warm bg-warm-soft px-3 py-2">
      You may no longer read this document. What the answer says of it was read when you could. Ask
      whoever keeps the library to let you in again.
    </p>
  );
}

function StaleNote({ state }: { state: PassageState | undefined }) {
  const now = useNow();
  if (!state || state.state === "current") return null;
  const when = state.changed_at ? ` ${ago(state.changed_at, now)}` : "";
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
