/** Every library with how fresh it is, and the ways to add one. */
import { Link } from "wouter";

import type { Library } from "@/api/types";
import { AddActions } from "@/libraries/add-actions";
import { useLibraries } from "@/libraries/queries";
import { documents } from "@/libraries/reading-progress";
import { StateDot } from "@/libraries/state-dot";
import { freshnessWords } from "@/live/freshness";
import { useNow } from "@/live/time";
import { ErrorLine } from "@/ui/dialog";
import { Screen, Section } from "@/ui/screen";

export function LibrariesScreen() {
  const { data, error } = useLibraries();
  return (
    <Screen title="Libraries" about="What Ponant reads for you, kept in step with the files.">
      <ErrorLine error={error} />
      {data && data.length > 0 ? (
        <ul className="mb-10 divide-y border-y">
          {data.map((library) => (
            <Row key={library.id} library={library} />
          ))}
        </ul>
      ) : null}
      <Section title="Add a library">
        <AddActions sample={data !== undefined && !data.some(({ name }) => name === "Sample")} />
      </Section>
    </Screen>
  );
}

function Row({ library }: { library: Library }) {
  const now = useNow();
  return (
    <li>
      <Link
        href={`/libraries/${library.id}`}
        className="flex flex-wrap items-baseline justify-between gap-x-6 gap-y-1 px-2 py-4 transition-colors duration-100 hover:bg-link-soft"
      >
        <span className="font-medium">{library.name}</span>
        <span className="flex items-center gap-2 text-sm text-quiet tabular-nums">
          <StateDot state={library.freshness.state} />
          {documents(library.nb_documents)}, {freshnessWords(library.freshness, now)}
        </span>
      </Link>
    </li>
  );
}
