/** Makes a watch: a question, a search, or a statement in SQL that is kept asked. */
import { Eye } from "lucide-react";
import { useState, type SubmitEvent } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import type { WatchKind } from "@/api/types";
import { useSetup } from "@/chat/setup";
import { Button } from "@/ui/button";
import { Dialog, ErrorLine } from "@/ui/dialog";
import { newWatch } from "@/watches/new-watch";
import { useWatchChange } from "@/watches/queries";
import {
  KindField,
  LibraryField,
  ModelField,
  NameField,
  QueryField,
  TableNames,
} from "@/watches/watch-fields";

export function AddWatch() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        onClick={() => {
          setOpen(true);
        }}
      >
        <Eye aria-hidden className="size-4" />
        Add watch
      </Button>
      {open ? (
        <WatchDialog
          onClose={() => {
            setOpen(false);
          }}
        />
      ) : null}
    </>
  );
}

function WatchDialog({ onClose }: { onClose: () => void }) {
  const [kind, setKind] = useState<WatchKind>("question");
  const [, navigate] = useLocation();
  const setup = useSetup(null);
  const creation = useWatchChange(api.watches.create);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    creation.mutate(newWatch(kind, new FormData(event.currentTarget)), {
      onSuccess: ({ id }) => {
        navigate(`/watches/${id}`);
      },
    });
  };
  return (
    <Dialog title="Add watch" onClose={onClose}>
      <form onSubmit={submit} autoComplete="off" className="space-y-4">
        <KindField
          value={kind}
          onChange={(chosen) => {
            creation.reset();
            setKind(chosen);
          }}
        />
        <QueryField kind={kind} />
        {kind === "sql" ? <TableNames /> : <LibraryField setup={setup} />}
        {kind === "question" ? <ModelField setup={setup} /> : <NameField />}
        <ErrorLine error={creation.error ?? setup.error} />
        <div className="flex justify-end gap-2">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind="strong" disabled={creation.isPending}>
            Add watch
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
