/** A place of another kind to read from: its settings are asked for as its schema has them. */
import { Cable } from "lucide-react";
import { useState, type SubmitEvent } from "react";

import { api } from "@/api/client";
import type { NewSource, SourceKind } from "@/api/types";
import { useLibraryChange, useSourceKinds } from "@/libraries/queries";
import { SecretField, SettingField } from "@/libraries/setting-fields";
import { newSource, offered, settingsOf } from "@/libraries/settings";
import { kindWords } from "@/libraries/source-words";
import { Button } from "@/ui/button";
import { FIELD } from "@/ui/classes";
import { Dialog, ErrorLine } from "@/ui/dialog";

export function AddSource({ library }: { library: string }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        size="small"
        onClick={() => {
          setOpen(true);
        }}
      >
        <Cable aria-hidden className="size-4" />
        Add source
      </Button>
      {open ? (
        <SourceDialog
          library={library}
          onClose={() => {
            setOpen(false);
          }}
        />
      ) : null}
    </>
  );
}

interface SourceDialogProps {
  library: string;
  onClose: () => void;
}

function SourceDialog({ library, onClose }: SourceDialogProps) {
  const { data, error } = useSourceKinds();
  const [chosen, choose] = useState<string | null>(null);
  const addition = useLibraryChange((source: NewSource) =>
    api.libraries.addSource(library, source),
  );
  const kinds = data?.filter(offered) ?? [];
  const kind = kinds.find(({ name }) => name === chosen) ?? kinds[0];
  return (
    <Dialog title="Add source" onClose={onClose}>
      {kind ? (
        <>
          <label htmlFor="kind" className="mb-1 block text-sm">
            Kind
          </label>
          <select
            id="kind"
            value={kind.name}
            className={FIELD}
            onChange={(event) => {
              addition.reset();
              choose(event.target.value);
            }}
          >
            {kinds.map(({ name }) => (
              <option key={name} value={name}>
                {kindWords(name)}
              </option>
            ))}
          </select>
          <SourceForm
            key={kind.name}
            kind={kind}
            busy={addition.isPending}
            error={addition.error}
            onAdd={(source) => {
              addition.mutate(source, { onSuccess: onClose });
            }}
            onClose={onClose}
          />
        </>
      ) : (
        <ErrorLine error={error} />
      )}
    </Dialog>
  );
}

interface SourceFormProps {
  kind: SourceKind;
  busy: boolean;
  error: Error | null;
  onAdd: (source: NewSource) => void;
  onClose: () => void;
}

/** The browser holds what is typed, so that a password is nowhere else. */
function SourceForm({ kind, busy, error, onAdd, onClose }: SourceFormProps) {
  const settings = settingsOf(kind);
  const more = settings.filter(({ first }) => !first);
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    onAdd(newSource(kind, new FormData(event.currentTarget)));
  };
  return (
    <form onSubmit={submit} autoComplete="off" className="mt-4 space-y-4">
      {settings
        .filter(({ first }) => first)
        .map((setting) => (
          <SettingField key={setting.name} setting={setting} />
        ))}
      {kind.secrets.map((name) => (
        <SecretField key={name} name={name} />
      ))}
      {more.length > 0 ? (
        <details>
          <summary className="text-sm text-link">More settings</summary>
          <div className="mt-4 space-y-4">
            {more.map((setting) => (
              <SettingField key={setting.name} setting={setting} />
            ))}
          </div>
        </details>
      ) : null}
      <ErrorLine error={error} />
      <div className="flex justify-end gap-2">
        <Button kind="quiet" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" kind="strong" disabled={busy}>
          Add {kindWords(kind.name)}
        </Button>
      </div>
    </form>
  );
}
