import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { expect, test, vi } from "vitest";

import { askAgain } from "@/live/asking-again";

test("what changes while a query is first asked is asked for again", async () => {
  const client = new QueryClient();
  const answers: ((said: string) => void)[] = [];
  const queryFn = () =>
    new Promise<string>((resolve) => {
      answers.push(resolve);
    });
  const observer = new QueryObserver(client, { queryKey: ["watches", "one"], queryFn });
  const leave = observer.subscribe(() => undefined);
  await vi.waitFor(() => {
    expect(answers).toHaveLength(1);
  });

  askAgain(client, ["watches"]);
  answers[0]?.("before");
  await vi.waitFor(() => {
    expect(answers).toHaveLength(2);
  });
  answers[1]?.("after");
  await vi.waitFor(() => {
    expect(observer.getCurrentResult().data).toBe("after");
  });
  leave();
});
