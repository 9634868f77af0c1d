/** The ways to give Ponant something to read: the sample, files, a folder. */
import { FilePlus2, FolderPlus, LibraryBig } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import type { Library } from "@/api/types";
import { useChosenLibraries } from "@/chat/choices";
import { FileDrop, pickFiles } from "@/libraries/file-drop";
import { FolderBrowser } from "@/libraries/folder-browser";
import { libraryFromFiles, libraryFromFolder, useLibraryChange } from "@/libraries/queries";
import { useIsAdmin } from "@/session/session";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";

type Gift =
  { kind: "sample" } | { kind: "files"; files: File[] } | { kind: "folder"; path: string };

function give(gift: Gift): Promise<Library> {
  switch (gift.kind) {
    case "sample":
      return api.libraries.sample();
    case "files":
      return libraryFromFiles(gift.files);
    case "folder":
      return libraryFromFolder(gift.path);
  }
}

/** Each makes a library, chooses it for the next chat and shows it being read. */
export function AddActions({ sample = false }: { sample?: boolean }) {
  const [browsing, setBrowsing] = useState(false);
  const [, chooseLibraries] = useChosenLibraries();
  const [, navigate] = useLocation();
  const admin = useIsAdmin();
  const giving = useLibraryChange(give);

  const start = (gift: Gift) => {
    giving.mutate(gift, {
      onSuccess: (library) => {
        setBrowsing(false);
        chooseLibraries([library.id]);
        navigate("/");
      },
    });
  };

  const giveFiles = (files: File[]) => {
    start({ kind: "files", files });
  };

  return (
    <FileDrop onFiles={giveFiles}>
      <div className="flex flex-wrap gap-2">
        {sample ? (
          <Button
            kind="strong"
            disabled={giving.isPending}
            onClick={() => {
              start({ kind: "sample" });
            }}
          >
            <LibraryBig aria-hidden className="size-4" />
            Try the sample
          </Button>
        ) : null}
        <Button
          disabled={giving.isPending}
          onClick={() => {
            pickFiles(giveFiles);
          }}
        >
          <FilePlus2 aria-hidden className="size-4" />
          Add my files
        </Button>
        {admin ? (
          <Button
            disabled={giving.isPending}
            onClick={() => {
              setBrowsing(true);
            }}
          >
            <FolderPlus aria-hidden className="size-4" />
            Add folder
          </Button>
        ) : null}
      </div>
      <p className="mt-3 text-sm text-quiet">
        {giving.isPending
          ? "Adding"
          : "Text, Markdown, HTML, Word and PDF. Files can be dropped here."}
      </p>
      {browsing ? (
        <FolderBrowser
          busy={giving.isPending}
          error={giving.error}
          onChoose={(path) => {
            start({ kind: "folder", path });
          }}
          onClose={() => {
            setBrowsing(false);
          }}
        />
      ) : (
        <ErrorLine error={giving.error} />
      )}
    </FileDrop>
  );
}
