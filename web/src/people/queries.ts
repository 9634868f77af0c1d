/** What the page knows of people and groups; a change asks for both again, as each shows the other. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api } from "@/api/client";
import { keys } from "@/live/events";

export function usePeople() {
  return useQuery({ queryKey: keys.people, queryFn: api.people.list });
}

export function useGroups() {
  return useQuery({ queryKey: keys.groups, queryFn: api.groups.list });
}

export function usePeopleChange<Input, Result>(
  change: (input: Input) => Promise<Result>,
  onSuccess?: () => void,
) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSuccess,
    onSettled: () =>
      Promise.all([
        client.invalidateQueries({ queryKey: keys.people }),
        client.invalidateQueries({ queryKey: keys.groups }),
        client.invalidateQueries({ queryKey: keys.whoami }), // one may have changed one's own role
      ]),
  });
}
