/** The turns of a chat; it stays at the end while an answer grows, unless one scrolls away. */
import { ArrowDown } from "lucide-react";
import type { ReactNode } from "react";
import { useStickToBottom } from "use-stick-to-bottom";

import { TurnView } from "@/chat/turn-view";
import type { Citation, Turn } from "@/chat/turns";
import type { Evidence } from "@/live/evidence";
import { Button } from "@/ui/button";

interface ThreadProps {
  turns: Turn[];
  evidence: Evidence;
  opened: { turn: string; citation: Citation } | null;
  busy: boolean;
  onOpen: (turn: Turn, citation: Citation) => void;
  onAgain: (turn: Turn) => void;
  after: (turn: Turn) => ReactNode;
}

export function Thread(props: ThreadProps) {
  const { turns, evidence, opened, busy, onOpen, onAgain, after } = props;
  const { scrollRef, contentRef, isAtBottom, scrollToBottom } = useStickToBottom({
    initial: "instant",
    resize: "instant",
  });
  return (
    <div className="relative min-h-0 flex-1">
      <div ref={scrollRef} className="h-full overflow-y-auto">
        <div ref={contentRef} className="mx-auto max-w-[46rem] px-4 pt-6 sm:px-6">
          {turns.map((turn) => (
            <TurnView
              key={turn.key}
              turn={turn}
              evidence={evidence}
              opened={opened?.turn === turn.key ? opened.citation.number : null}
              busy={busy}
              onOpen={onOpen}
              onAgain={onAgain}
              after={after}
            />
          ))}
        </div>
      </div>
      {isAtBottom ? null : (
        <Button
          size="icon"
          className="absolute bottom-3 left-1/2 -translate-x-1/2 rounded-full shadow-md"
          aria-label="Go to the end"
          onClick={() => void scrollToBottom("instant")}
        >
          <ArrowDown aria-hidden className="size-4" />
        </Button>
      )}
    </div>
  );
}
