/** The address that is told when the answer changes. */
import { useState } from "react";

import { api } from "@/api/client";
import type { Watch } from "@/api/types";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";
import { useWatchChange } from "@/watches/queries";

export function Webhook({ watch }: { watch: Watch }) {
  const [address, setAddress] = useState(watch.webhook ?? "");
  const change = useWatchChange((webhook: string) => api.watches.tell(watch.id, webhook));
  const secret = change.data?.secret;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate(address.trim());
      }}
    >
      <label className="block text-sm" htmlFor="webhook">
        Webhook address. It is sent each change, signed.
      </label>
      <div className="mt-2 flex flex-wrap gap-2">
        <input
          id="webhook"
          type="url"
          value={address}
          placeholder="https://"
          onChange={(event) => {
            setAddress(event.target.value);
          }}
          className="h-10 min-w-0 flex-1 rounded-lg border bg-raised px-3 text-sm"
        />
        <Button
          type="submit"
          disabled={change.isPending || address.trim() === (watch.webhook ?? "")}
        >
          {address.trim() === "" ? "Remove address" : "Save address"}
        </Button>
      </div>
      <ErrorLine error={change.error} />
      {secret ? (
        <p className="mt-3 text-sm">
          The secret that signs, shown this once:{" "}
          <code className="font-mono text-xs [overflow-wrap:anywhere]">{secret}</code>
        </p>
      ) : null}
    </form>
  );
}
