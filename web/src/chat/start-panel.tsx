/** Before the first question: what can be asked of the chosen library, or how to get one. */
import { useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import type { Library } from "@/api/types";
import { AddActions } from "@/libraries/add-actions";
import { useLibraries } from "@/libraries/queries";
import { ReadingProgress } from "@/libraries/reading-progress";
import { keys } from "@/live/events";
import { Mark } from "@/ui/mark";

interface StartPanelProps {
  libraries: Library[];
  onAsk: (question: string) => void;
}

export function StartPanel({ libraries, onAsk }: StartPanelProps) {
  const { data: all } = useLibraries();
  return (
    <div className="flex min-h-0 flex-1 overflow-y-auto">
      <div className="m-auto w-full max-w-[46rem] px-4 py-8 sm:px-6">
        <Mark className="mb-5 size-10" />
        {all?.length === 0 ? <Welcome /> : null}
        {all && all.length > 0 ? <Ready libraries={libraries} onAsk={onAsk} /> : null}
      </div>
    </div>
  );
}

function Welcome() {
  return (
    <>
      <h1 className="text-2xl font-semibold tracking-tight">Ask what your documents know</h1>
      <p className="mt-2 mb-8 max-w-prose text-quiet">
        Give Ponant something to read. It answers with the passages it found, and tells you when
        they change. With a model that runs here, nothing leaves this machine.
      </p>
      <AddActions sample />
    </>
  );
}

function Ready({ libraries, onAsk }: StartPanelProps) {
  const [first] = libraries;
  if (!first) {
    return (
      <>
        <h1 className="text-2xl font-semibold tracking-tight">Ask anything</h1>
        <p className="mt-2 max-w-prose text-quiet">
          No library is chosen, so the model answers from what it learnt. Choose one above to get
          answers with sources.
        </p>
      </>
    );
  }
  return (
    <>
      <h1 className="text-2xl font-semibold tracking-tight text-balance">
        Ask {libraries.length === 1 ? first.name : "your libraries"}
      </h1>
      <ReadingProgress library={first} />
      <Questions library={first} onAsk={onAsk} />
      <Places library={first} />
    </>
  );
}

function Questions({ library, onAsk }: { library: Library; onAsk: (question: string) => void }) {
  const { data } = useQuery({
    queryKey: keys.questions(library.id),
    queryFn: () => api.libraries.questions(library.id),
    enabled: library.nb_documents > 0,
  });
  if (!data || data.length === 0) return null;
  return (
    <ul aria-label="Questions to begin with" className="mt-6 grid gap-2 sm:grid-cols-2">
      {data.map((question) => (
        <li key={question}>
          <button
            type="button"
            onClick={() => {
              onAsk(question);
            }}
            className="h-full w-full rounded-xl border bg-raised px-4 py-3 text-left text-sm transition-colors duration-100 hover:border-link hover:bg-link-soft"
          >
            {question}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** Where the files are, so that one can edit them and watch the answers follow. */
function Places({ library }: { library: Library }) {
  const { data } = useQuery({
    queryKey: [...keys.library(library.id), "sources"],
    queryFn: () => api.libraries.sources(library.id),
  });
  const path = data?.find((source) => source.kind === "folder")?.config.path;
  if (typeof path !== "string") return null;
  return (
    <p className="mt-6 text-sm text-quiet">
      Edit a file in <code className="font-mono text-xs [overflow-wrap:anywhere]">{path}</code> and
      the answers that rest on it are marked.
    </p>
  );
}
