/** One question and its answer. */
import { lazy, Suspense, useMemo, type ReactNode } from "react";

import { AnswerSourcesProvider } from "@/chat/sources";
import { EvidenceLine, type Rest } from "@/chat/evidence-line";
import { cited, isRunning, markdown, type Citation, type Turn } from "@/chat/turns";
import { evidenceKey, type Evidence } from "@/live/evidence";
import { ErrorLine } from "@/ui/dialog";

/** The parser is the heaviest part of the page, and no screen needs it before the first answer. */
const Markdown = lazy(() => import("@/chat/markdown"));

interface TurnViewProps {
  turn: Turn;
  evidence: Evidence;
  /** The number of this answer's source that is open, if one is. */
  opened: number | null;
  busy: boolean;
  onOpen: (turn: Turn, citation: Citation) => void;
  onAgain: (turn: Turn) => void;
  /** What else can be done with the answer to a question, once it is there. */
  after: (turn: Turn) => ReactNode;
}

export function TurnView(props: TurnViewProps) {
  const { turn, evidence, opened, busy, onOpen, onAgain, after } = props;
  const rests = useMemo<Rest[]>(
    () => cited(turn).map((citation) => ({ citation, state: evidence.get(evidenceKey(citation)) })),
    [turn, evidence],
  );
  const sources = useMemo(
    () => ({
      opened,
      find: (number: number) => rests.find((rest) => rest.citation.number === number) ?? null,
      open: (number: number) => {
        const rest = rests.find((one) => one.citation.number === number);
        if (rest) onOpen(turn, rest.citation);
      },
    }),
    [rests, opened, onOpen, turn],
  );

  return (
    <article aria-label={turn.question} className="pb-10">
      <h2 className="ml-auto w-fit max-w-[85%] rounded-xl rounded-br-sm bg-link-soft px-4 py-2.5 [overflow-wrap:anywhere] whitespace-pre-wrap">
        <span className="sr-only">You asked: </span>
        {turn.question}
      </h2>
      <div className="mt-6" aria-live="polite" aria-busy={isRunning(turn)}>
        <AnswerSourcesProvider value={sources}>
          <Suspense fallback={null}>
            <Markdown text={markdown(turn.parts)} streaming={isRunning(turn)} />
          </Suspense>
        </AnswerSourcesProvider>
        <Progress turn={turn} />
      </div>
      {turn.error ? <ErrorLine error={new Error(turn.error)} /> : null}
      <EvidenceLine
        turn={turn}
        rests={rests}
        busy={busy}
        onAgain={() => {
          onAgain(turn);
        }}
      />
      {turn.state === "done" ? <div className="mt-1 -ml-3">{after(turn)}</div> : null}
    </article>
  );
}

function Progress({ turn }: { turn: Turn }) {
  if (turn.parts.length > 0 || !isRunning(turn)) return null;
  return (
    <p className="flex items-center gap-2 text-sm text-quiet">
      <span aria-hidden className="size-2 animate-pulse rounded-full bg-warm" />
      {progressWords(turn)}
    </p>
  );
}

function progressWords({ state, sources }: Turn): string {
  if (state !== "searching") return "Reading the question";
  if (sources === null) return "Looking through the library";
  return sources.length === 1 ? "Reading 1 passage" : `Reading ${sources.length} passages`;
}
