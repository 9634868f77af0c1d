import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { PassageReference, PassageState } from "@/api/types";
import { evidenceKey, useEvidence } from "@/live/evidence";
import { keys } from "@/live/events";

const passage = { id: "psg_1", hash: "old", library_id: "lib_1" };
const renewed = { ...passage, hash: "new" };
let answers: Record<string, PassageState["state"]>;
const asked = vi.fn();

beforeEach(() => {
  answers = { old: "current", new: "current" };
  asked.mockReset();
  vi.stubGlobal("fetch", (_path: string, init: { body: string }) => {
    const { passages } = JSON.parse(init.body) as { passages: PassageReference[] };
    asked(passages);
    const data = passages.map((one) => ({
      id: one.id,
      state: answers[one.hash],
      changed_at: null,
    }));
    return Promise.resolve(new Response(JSON.stringify({ data })));
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

function watch(passages: PassageReference[]) {
  const client = new QueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  return { client, ...renderHook(() => useEvidence(passages), { wrapper }) };
}

it("asks once for a passage that several answers cite", async () => {
  watch([passage, passage, renewed]);
  await waitFor(() => {
    expect(asked).toHaveBeenCalledExactlyOnceWith([passage, renewed]);
  });
});

it("tells two readings of one place apart", async () => {
  answers.old = "changed";
  const { result } = watch([passage, renewed]);
  await waitFor(() => {
    expect(result.current.get(evidenceKey(passage))?.state).toBe("changed");
  });
  expect(result.current.get(evidenceKey(renewed))?.state).toBe("current");
});

it("looks again when a library changes", async () => {
  const { client, result } = watch([passage]);
  await waitFor(() => {
    expect(result.current.get(evidenceKey(passage))?.state).toBe("current");
  });
  answers.old = "gone";
  await act(() => client.invalidateQueries({ queryKey: keys.evidence }));
  await waitFor(() => {
    expect(result.current.get(evidenceKey(passage))?.state).toBe("gone");
  });
});
