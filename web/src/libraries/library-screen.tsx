/** One library: where it reads from, what it holds, and what could not be read. */
import { useQuery } from "@tanstack/react-query";
import { FilePlus2, FolderPlus, MessageSquare, Trash2 } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import type { Library } from "@/api/types";
import { useChosenLibraries } from "@/chat/choices";
import { AddSource } from "@/libraries/add-source";
import { FileDrop, pickFiles } from "@/libraries/file-drop";
import { DocumentTable } from "@/libraries/document-table";
import { FailedDocuments } from "@/libraries/failed-documents";
import { FolderBrowser } from "@/libraries/folder-browser";
import { addFiles, useLibraryChange } from "@/libraries/queries";
import { documents, ReadingProgress } from "@/libraries/reading-progress";
import { SourceList } from "@/libraries/source-list";
import { keys } from "@/live/events";
import { useIsAdmin } from "@/session/session";
import { Button } from "@/ui/button";
import { Confirm, ErrorLine } from "@/ui/dialog";
import { Screen, Section } from "@/ui/screen";

export function LibraryScreen({ id }: { id: string }) {
  const { data: library, error } = useQuery({
    queryKey: keys.library(id),
    queryFn: () => api.libraries.get(id),
    refetchInterval: 10_000,
    retry: false,
  });
  const [leaving, setLeaving] = useState(false);
  const [, chooseLibraries] = useChosenLibraries();
  const [, navigate] = useLocation();

  if (!library) {
    return (
      <Screen title="Library">
        <ErrorLine error={error} />
      </Screen>
    );
  }
  return (
    <Screen
      title={library.name}
      about={library.description}
      actions={
        <>
          <Button
            kind="strong"
            onClick={() => {
              chooseLibraries([id]);
              navigate("/");
            }}
          >
            <MessageSquare aria-hidden className="size-4" />
            Ask this library
          </Button>
          <Button
            onClick={() => {
              setLeaving(true);
            }}
          >
            <Trash2 aria-hidden className="size-4" />
            Delete library
          </Button>
        </>
      }
    >
      <div className="mb-8">
        <ReadingProgress library={library} bar={false} />
      </div>
      <Section title="Sources">
        <SourceList library={id} />
        <AddToLibrary id={id} />
      </Section>
      <FailedDocuments library={id} />
      <Section title="Documents">
        <DocumentTable library={id} />
      </Section>
      {leaving ? (
        <DeleteLibrary
          library={library}
          onClose={() => {
            setLeaving(false);
          }}
        />
      ) : null}
    </Screen>
  );
}

function AddToLibrary({ id }: { id: string }) {
  const admin = useIsAdmin();
  const [browsing, setBrowsing] = useState(false);
  const files = useLibraryChange((chosen: File[]) => addFiles(id, chosen));
  const folder = useLibraryChange((path: string) => api.libraries.addFolder(id, path));
  return (
    <FileDrop onFiles={files.mutate}>
      <div className="flex flex-wrap items-center gap-2">
        <Button
          size="small"
          disabled={files.isPending}
          onClick={() => {
            pickFiles(files.mutate);
          }}
        >
          <FilePlus2 aria-hidden className="size-4" />
          Add files
        </Button>
        {admin ? (
          <Button
            size="small"
            onClick={() => {
              setBrowsing(true);
            }}
          >
            <FolderPlus aria-hidden className="size-4" />
            Add folder
          </Button>
        ) : null}
        {admin ? <AddSource library={id} /> : null}
        <span className="text-sm text-quiet">
          {files.isPending ? "Adding" : "Files can be dropped here."}
        </span>
      </div>
      <ErrorLine error={files.error} />
      {browsing ? (
        <FolderBrowser
          busy={folder.isPending}
          error={folder.error}
          onChoose={(path) => {
            folder.mutate(path, {
              onSuccess: () => {
                setBrowsing(false);
              },
            });
          }}
          onClose={() => {
            setBrowsing(false);
          }}
        />
      ) : null}
    </FileDrop>
  );
}

function DeleteLibrary({ library, onClose }: { library: Library; onClose: () => void }) {
  const [, navigate] = useLocation();
  const removal = useLibraryChange(() => api.libraries.remove(library.id));
  return (
    <Confirm
      title="Delete library"
      action="Delete library"
      busy={removal.isPending}
      error={removal.error}
      onConfirm={() => {
        removal.mutate(undefined, {
          onSuccess: () => {
            navigate("/libraries");
          },
        });
      }}
      onClose={onClose}
    >
      “{library.name}” with {documents(library.nb_documents)} will be gone from Ponant. Folders and
      the files in them stay as they are; files that were dropped here are deleted.
    </Confirm>
  );
}
