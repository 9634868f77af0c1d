/** The documents of a library that could be read. */
import { useQuery } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";

import { api } from "@/api/client";
import type { LibraryDocument } from "@/api/types";
import { useLibraryChange } from "@/libraries/queries";
import { keys } from "@/live/events";
import { day } from "@/live/time";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";

export function DocumentTable({ library }: { library: string }) {
  const { data, error } = useQuery({
    queryKey: [...keys.library(library), "documents"],
    queryFn: () => api.libraries.documents(library),
  });
  const removal = useLibraryChange((id: string) => api.libraries.removeDocument(library, id));
  if (!data) return <ErrorLine error={error} />;
  const { data: documents, pagination } = data;
  const readable = documents.filter((document) => !hasFailed(document));
  if (readable.length === 0)
    return <p className="text-sm text-quiet">Nothing has been read yet.</p>;
  return (
    <>
      <ErrorLine error={removal.error} />
      <ul className="divide-y border-y">
        {readable.map((document) => (
          <DocumentRow key={document.id} document={document} onRemove={removal.mutate} />
        ))}
      </ul>
      {pagination.total_items > documents.length ? (
        <p className="mt-3 text-sm text-quiet">
          These are the first {documents.length} of {pagination.total_items} documents, by path.
        </p>
      ) : null}
    </>
  );
}

interface DocumentRowProps {
  document: LibraryDocument;
  onRemove: (id: string) => void;
}

export function DocumentRow({ document, onRemove }: DocumentRowProps) {
  const failed = hasFailed(document);
  return (
    <li className="flex items-center justify-between gap-4 px-2 py-2.5 text-sm">
      <div className="min-w-0">
        <p className="[overflow-wrap:anywhere]">{document.name}</p>
        <p className="text-quiet">{documentWords(document)}</p>
        {failed ? (
          <p className="mt-1 border-l-2 border-warm bg-warm-soft px-2 py-1">
            {document.message ?? "This file could not be read."}
          </p>
        ) : null}
      </div>
      {/* A file of a folder comes back with the next look, so only dropped ones can be deleted. */}
      {document.source_id ? null : (
        <Button
          kind="quiet"
          size="icon"
          aria-label={`Delete ${document.name}`}
          onClick={() => {
            onRemove(document.id);
          }}
        >
          <Trash2 aria-hidden className="size-4" />
        </Button>
      )}
    </li>
  );
}

function hasFailed(document: LibraryDocument): boolean {
  return /fail|error/i.test(document.process_status);
}

function documentWords(document: LibraryDocument): string {
  const words = [size(document.size)];
  if (document.version) words.push(`version ${document.version}`);
  words.push(day(document.updated_at ?? document.created_at));
  return words.join(" · ");
}

/** Bytes in the unit that people read. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
