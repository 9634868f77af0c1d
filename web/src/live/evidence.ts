/** Asks whether the passages that answers rest on still read as they did. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import type { PassageReference, PassageState } from "@/api/types";
import { keys } from "@/live/events";

export type Evidence = ReadonlyMap<string, PassageState>;

const NOTHING: Evidence = new Map();

/** Most passages that one look asks about; older answers of a long chat go unwatched. */
const MOST = 200;

/** A passage is known by what it said: the same place with other words is another one. */
export function evidenceKey(passage: PassageReference): string {
  return `${passage.id} ${passage.hash}`;
}

/** What became of each passage; asked again whenever a library changes. */
export function useEvidence(passages: PassageReference[]): Evidence {
  const distinct = [...new Map(passages.map((one) => [evidenceKey(one), one])).values()];
  const asked = distinct.slice(-MOST).map(({ id, hash, library_id }) => ({ id, hash, library_id }));
  const { data } = useQuery({
    queryKey: [...keys.evidence, asked.map(evidenceKey)],
    queryFn: async () => states(asked, await api.passages.check(asked)),
    enabled: asked.length > 0,
    placeholderData: keepPreviousData,
    refetchOnWindowFocus: true,
  });
  return data ?? NOTHING;
}

/** Answers come in the order of the questions: two answers may rest on one place read at two times. */
function states(asked: PassageReference[], found: PassageState[]): Evidence {
  const entries = asked.flatMap((passage, index) => {
    const state = found[index];
    return state?.id === passage.id ? [[evidenceKey(passage), state] as const] : [];
  });
  return new Map(entries);
}
