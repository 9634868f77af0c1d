/** Keys for programs: made, listed, taken back. A new key is shown once. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Copy } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import type { ApiKey, NewApiKey } from "@/api/types";
import { keys } from "@/live/events";
import { day } from "@/live/time";
import { Button } from "@/ui/button";
import { Confirm, ErrorLine } from "@/ui/dialog";
import { NameForm } from "@/ui/name-form";

export function ApiKeys() {
  const client = useQueryClient();
  const { data, error } = useQuery({ queryKey: keys.apiKeys, queryFn: api.keys.list });
  const [leaving, setLeaving] = useState<ApiKey | null>(null);
  const refresh = () => client.invalidateQueries({ queryKey: keys.apiKeys });
  const creation = useMutation({ mutationFn: api.keys.create, onSuccess: refresh });
  const present = data?.filter((key) => !key.revoked_at) ?? [];
  return (
    <>
      <p className="mb-4 max-w-prose text-sm text-quiet">
        A program that uses Ponant sends a key with every request. Make one for each program, so
        that each can be taken back alone.
      </p>
      <NameForm
        label="Name of the key"
        action="Create key"
        example="notebook"
        busy={creation.isPending}
        onMake={creation.mutate}
      />
      <ErrorLine error={error ?? creation.error} />
      {creation.data ? <Once made={creation.data} /> : null}
      <ul aria-label="API keys" className="mt-6 divide-y border-y">
        {present.map((key) => (
          <li key={key.id} className="flex items-center justify-between gap-4 px-2 py-3 text-sm">
            <div className="min-w-0">
              <p className="font-medium [overflow-wrap:anywhere]">{key.name}</p>
              <p className="text-quiet">{keyWords(key)}</p>
            </div>
            <Button
              size="small"
              aria-label={`Revoke ${key.name}`}
              onClick={() => {
                setLeaving(key);
              }}
            >
              Revoke
            </Button>
          </li>
        ))}
      </ul>
      {leaving ? (
        <RevokeKey
          revoked={leaving}
          onDone={refresh}
          onClose={() => {
            setLeaving(null);
          }}
        />
      ) : null}
    </>
  );
}

function keyWords(key: ApiKey): string {
  const words = [`made on ${day(key.created_at)}`];
  words.push(key.last_used_at ? `last used on ${day(key.last_used_at)}` : "not used yet");
  return words.join(", ");
}

function Once({ made }: { made: NewApiKey }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(made.key);
    setCopied(true);
  };
  return (
    <div role="status" className="mt-4 border-l-2 border-warm bg-warm-soft px-4 py-3 text-sm">
      <p>The key “{made.name}” is shown this once. Copy it now.</p>
      <div className="mt-2 flex flex-wrap items-center gap-2">
        <code className="rounded-md bg-paper px-2 py-1 font-mono text-xs [overflow-wrap:anywhere]">
          {made.key}
        </code>
        <Button size="small" onClick={copy}>
          <Copy aria-hidden className="size-3.5" />
          {copied ? "Copied" : "Copy key"}
        </Button>
      </div>
    </div>
  );
}

interface RevokeKeyProps {
  revoked: ApiKey;
  onDone: () => Promise<void>;
  onClose: () => void;
}

function RevokeKey({ revoked, onDone, onClose }: RevokeKeyProps) {
  const revocation = useMutation({
    mutationFn: () => api.keys.revoke(revoked.id),
    onSuccess: async () => {
      await onDone();
      onClose();
    },
  });
  return (
    <Confirm
      title="Revoke key"
      action="Revoke key"
      busy={revocation.isPending}
      error={revocation.error}
      onConfirm={() => {
        revocation.mutate();
      }}
      onClose={onClose}
    >
      Programs that use “{revoked.name}” are refused from now on. This cannot be undone.
    </Confirm>
  );
}
