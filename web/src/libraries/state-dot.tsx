/** A dot beside words that say the same: hollow while in step, warm while something moves. */
import type { SyncState } from "@/api/types";
import { classes } from "@/ui/classes";

export function StateDot({ state }: { state: SyncState }) {
  return (
    <span
      aria-hidden
      className={classes(
        "size-2 shrink-0 rounded-full border",
        state === "in_step" ? "border-link" : "border-warm bg-warm",
      )}
    />
  );
}
