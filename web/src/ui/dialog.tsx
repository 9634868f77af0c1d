/** A dialog on the browser's own element: it keeps the focus inside and closes on Escape. */
import { X } from "lucide-react";
import { useEffect, useId, useRef, type ReactNode } from "react";

import { Button } from "@/ui/button";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
}

/** Open for as long as it is rendered. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();

  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => {
      dialog?.close();
    };
  }, []);

  return (
    <dialog
      ref={element}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      className="m-auto w-[min(32rem,calc(100vw-2rem))] rounded-xl border bg-paper p-0 text-text shadow-xl backdrop:bg-ink/40"
    >
      <div className="flex items-center justify-between gap-4 border-b py-2 pr-2 pl-6">
        <h2 id={heading} className="font-semibold">
          {title}
        </h2>
        <Button kind="quiet" size="icon" aria-label="Close" onClick={onClose}>
          <X aria-hidden className="size-4" />
        </Button>
      </div>
      <div className="p-6">{children}</div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  action: string;
  children: ReactNode;
  busy: boolean;
  error: Error | null;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before something is lost. */
export function Confirm(props: ConfirmProps) {
  return (
    <Dialog title={props.title} onClose={props.onClose}>
      <div className="text-sm text-quiet">{props.children}</div>
      <ErrorLine error={props.error} />
      <div className="mt-6 flex justify-end gap-2">
        <Button kind="quiet" onClick={props.onClose}>
          Keep
        </Button>
        <Button kind="strong" disabled={props.busy} onClick={props.onConfirm}>
          {props.action}
        </Button>
      </div>
    </Dialog>
  );
}

/** What went wrong, as a sentence; nothing when nothing did. */
export function ErrorLine({ error }: { error: Error | null | undefined }) {
  return (
    <div role="alert">
      {error ? (
        <p className="mt-3 border-l-2 border-warm bg-warm-soft px-3 py-2 text-sm">
          {error.message}
        </p>
      ) : null}
    </div>
  );
}
