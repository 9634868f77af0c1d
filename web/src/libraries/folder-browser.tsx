/** Walks the folders that the server allows, and takes one. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { CornerLeftUp, Folder } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import type { Folders } from "@/api/types";
import { folderName } from "@/libraries/queries";
import { Button } from "@/ui/button";
import { Dialog, ErrorLine } from "@/ui/dialog";

interface FolderBrowserProps {
  busy: boolean;
  error: Error | null;
  onChoose: (path: string) => void;
  onClose: () => void;
}

export function FolderBrowser({ busy, error, onChoose, onClose }: FolderBrowserProps) {
  const [path, setPath] = useState<string | null>(null);
  const listing = useQuery({
    queryKey: ["folders", path],
    queryFn: () => (path === null ? start() : api.folders(path)),
    placeholderData: keepPreviousData,
    retry: false,
    gcTime: 0,
  });
  const here = listing.data?.path ?? null;

  return (
    <Dialog title="Add folder" onClose={onClose}>
      <p className="mb-3 truncate font-mono text-xs text-quiet" title={here ?? undefined}>
        {here ?? "Folders that Ponant may read"}
      </p>
      <ul aria-label="Folders" className="h-72 overflow-y-auto rounded-lg border p-1">
        {listing.data?.parent ? (
          <Row up name="Up" path={listing.data.parent} onOpen={setPath} />
        ) : null}
        {listing.data?.folders.map((folder) => (
          <Row key={folder.path} name={folder.name} path={folder.path} onOpen={setPath} />
        ))}
        {listing.data?.folders.length === 0 ? (
          <li className="px-3 py-2 text-sm text-quiet">There is no folder inside this one.</li>
        ) : null}
      </ul>
      <ErrorLine error={error ?? listing.error} />
      <div className="mt-4 flex flex-wrap items-center justify-end gap-2">
        <Button kind="quiet" onClick={onClose}>
          Cancel
        </Button>
        <Button
          kind="strong"
          disabled={here === null || busy}
          onClick={() => {
            if (here !== null) onChoose(here);
          }}
        >
          {here === null ? "Add this folder" : `Add ${folderName(here)}`}
        </Button>
      </div>
    </Dialog>
  );
}

/** The roots; where there is only one, what is in it. */
async function start(): Promise<Folders> {
  const roots = await api.folders(null);
  const [only, ...others] = roots.folders;
  return only && others.length === 0 ? api.folders(only.path) : roots;
}

interface RowProps {
  name: string;
  path: string;
  up?: boolean;
  onOpen: (path: string) => void;
}

function Row({ name, path, up = false, onOpen }: RowProps) {
  const Icon = up ? CornerLeftUp : Folder;
  return (
    <li>
      <button
        type="button"
        onClick={() => {
          onOpen(path);
        }}
        className="flex w-full items-center gap-2.5 rounded-md px-3 py-1.5 text-left text-sm hover:bg-link-soft"
      >
        <Icon aria-hidden className="size-4 shrink-0 text-quiet" />
        <span className="truncate">{name}</span>
      </button>
    </li>
  );
}
