/** What the citations of one answer need to know of it. */
import { createContext, useContext } from "react";

import type { PassageState } from "@/api/types";
import type { Citation } from "@/chat/turns";

export interface AnswerSources {
  /** The citation under a number, and what became of its passage. */
  find: (number: number) => { citation: Citation; state: PassageState | undefined } | null;
  open: (number: number) => void;
  /** The number whose passage is on the screen. */
  opened: number | null;
}

const Sources = createContext<AnswerSources>({
  find: () => null,
  open: () => undefined,
  opened: null,
});

export const AnswerSourcesProvider = Sources.Provider;

export function useAnswerSources(): AnswerSources {
  return useContext(Sources);
}
