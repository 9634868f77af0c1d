/** What could not be read, each with the reason, and the way to try again. */
import { RotateCw } from "lucide-react";

import { api } from "@/api/client";
import { DocumentRow } from "@/libraries/document-table";
import { useFailed, useLibraryChange } from "@/libraries/queries";
import { useIsAdmin } from "@/session/session";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";
import { Section } from "@/ui/screen";

export function FailedDocuments({ library }: { library: string }) {
  const admin = useIsAdmin();
  const { data } = useFailed(library);
  const retrial = useLibraryChange(() => api.libraries.retry(library));
  const removal = useLibraryChange((id: string) => api.libraries.removeDocument(library, id));
  if (!data || data.data.length === 0) return null;
  const { data: documents, pagination } = data;
  return (
    <Section title="Could not be read">
      <ul className="divide-y border-y">
        {documents.map((document) => (
          <DocumentRow key={document.id} document={document} onRemove={removal.mutate} />
        ))}
      </ul>
      <div className="mt-3 flex flex-wrap items-center gap-3 text-sm">
        {admin ? (
          <Button
            size="small"
            disabled={retrial.isPending}
            onClick={() => {
              retrial.mutate(undefined);
            }}
          >
            <RotateCw aria-hidden className="size-4" />
            Try again
          </Button>
        ) : null}
        <span role="status" className="text-quiet">
          {retrial.isSuccess ? retriedWords(retrial.data.retried) : ""}
        </span>
        {pagination.total_items > documents.length ? (
          <span className="text-quiet">
            These are the first {documents.length} of {pagination.total_items}.
          </span>
        ) : null}
      </div>
      <ErrorLine error={retrial.error ?? removal.error} />
    </Section>
  );
}

function retriedWords(retried: number): string {
  if (retried === 0) return "None of them can be read again; push or upload them anew.";
  return `Reading ${retried === 1 ? "1 document" : `${retried} documents`} again.`;
}
