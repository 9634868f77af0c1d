/** Lets queries run again whose answers may be old. */
import type { QueryClient, QueryKey } from "@tanstack/react-query";

/**
 * A query that is asked for the first time is not stopped by an invalidation: it would show what the
 * server said before the change. So it is asked once more when its answer is there.
 */
export function askAgain(client: QueryClient, queryKey: QueryKey): void {
  const first = client.isFetching({
    queryKey,
    predicate: ({ state }) => state.data === undefined,
  });
  const asked = client.invalidateQueries({ queryKey });
  if (first > 0) void asked.then(() => client.invalidateQueries({ queryKey }));
}
