/** Gives a source another password or key. What is kept is not asked for, so it cannot be shown. */
import { KeyRound } from "lucide-react";
import { useState, type SubmitEvent } from "react";

import { api } from "@/api/client";
import type { LibrarySource, NewSignIn, SourceKind } from "@/api/types";
import { useLibraryChange } from "@/libraries/queries";
import { SecretField, SettingField } from "@/libraries/setting-fields";
import { newSignIn, present, signInSettings } from "@/libraries/settings";
import { placeWords } from "@/libraries/source-words";
import { Button } from "@/ui/button";
import { Dialog, ErrorLine } from "@/ui/dialog";

interface SignInAgainProps {
  library: string;
  source: LibrarySource;
  kind: SourceKind;
}

/** The one thing to do at a source that was refused, and else a quiet sign. */
export function SignInAgain(props: SignInAgainProps) {
  const [open, setOpen] = useState(false);
  const name = `Sign in again to ${placeWords(props.source)}`;
  const { refused } = props.source;
  return (
    <>
      <Button
        kind={refused ? "strong" : "quiet"}
        size={refused ? "small" : "icon"}
        aria-label={name}
        title={refused ? undefined : "Give this source another password or key."}
        onClick={() => {
          setOpen(true);
        }}
      >
        <KeyRound aria-hidden className="size-4" />
        {refused ? "Sign in again" : null}
      </Button>
      {open ? (
        <SignInDialog
          {...props}
          onClose={() => {
            setOpen(false);
          }}
        />
      ) : null}
    </>
  );
}

/** The browser holds what is typed, so that a password is nowhere else. */
function SignInDialog({
  library,
  source,
  kind,
  onClose,
}: SignInAgainProps & { onClose: () => void }) {
  const change = useLibraryChange((given: NewSignIn) =>
    api.libraries.signIn(library, source.id, given),
  );
  const submit = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    change.mutate(newSignIn(kind, source, new FormData(event.currentTarget)), {
      onSuccess: onClose,
    });
  };
  return (
    <Dialog title="Sign in again" onClose={onClose}>
      <form onSubmit={submit} autoComplete="off" className="space-y-4">
        <p className="text-sm [overflow-wrap:anywhere] text-quiet">
          To <span className="font-mono">{placeWords(source)}</span>. What was read from it stays,
          and reading goes on from there.
        </p>
        {signInSettings(kind, source).map((setting) => (
          <SettingField
            key={setting.name}
            setting={setting}
            present={present(source, setting.name)}
          />
        ))}
        {kind.secrets.map((name) => (
          <SecretField key={name} name={name} required={kind.secrets.length === 1} />
        ))}
        <ErrorLine error={change.error} />
        <div className="flex justify-end gap-2">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind="strong" disabled={change.isPending}>
            Sign in
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
