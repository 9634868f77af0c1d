/** Who is signed in. */
import { useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import { keys } from "@/live/events";

export function useWhoAmI() {
  return useQuery({ queryKey: keys.whoami, queryFn: api.session.whoami, staleTime: 60_000 });
}

/** Whether one may make and change things; a viewer only looks. */
export function useMayChange(): boolean {
  const role = useWhoAmI().data?.person.role;
  return role === "admin" || role === "member";
}

export function useIsAdmin(): boolean {
  return useWhoAmI().data?.person.role === "admin";
}
