/** The models that this page may choose from. */
import { useQuery } from "@tanstack/react-query";

import { api } from "@/api/client";
import { keys } from "@/live/events";

export function useModels() {
  return useQuery({ queryKey: keys.models, queryFn: api.models.list });
}
