/** The chat: what was asked and answered, and where the next question is written. */
import { useCallback, useState } from "react";

import { useAsking, useTurns } from "@/chat/asking";
import { Composer } from "@/chat/composer";
import { isStale } from "@/chat/evidence-line";
import { SourcePanel } from "@/chat/source-panel";
import { StartPanel } from "@/chat/start-panel";
import { useSetup } from "@/chat/setup";
import { chats, DRAFT } from "@/chat/store";
import { Thread } from "@/chat/thread";
import { TopBar } from "@/chat/top-bar";
import { WatchButton } from "@/chat/watch-button";
import { cited, type Citation, type Turn } from "@/chat/turns";
import { evidenceKey, useEvidence } from "@/live/evidence";
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
            busy={running || asking.renewing}
            onOpen={onOpen}
            onAgain={asking.again}
            after={(turn) =>
              setup.model !== null && setup.libraries.length > 0 ? (
                <WatchButton
                  question={turn.question}
                  model={setup.model}
                  libraries={setup.libraries.map((library) => library.id)}
                />
              ) : null
            }
          />
        )}
        <div className="mx-auto w-full max-w-[46rem] px-4 pb-4 sm:px-6">
          <ErrorLine error={error ?? asking.error ?? setup.error} />
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
          conversation={id}
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

function NoModel() {
  return (
    <p className="mb-3 text-sm">
      There is no model to answer. On the machine that runs Ponant, run{" "}
      <code className="font-mono text-xs">ponant setup</code>, or{" "}
      <code className="font-mono text-xs">ponant doctor</code> to see what is missing.
    </p>
  );
}
