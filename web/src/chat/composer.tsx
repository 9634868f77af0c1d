/** Where a question is written: Enter sends, Shift and Enter begins a line. */
import { ArrowUp, Square } from "lucide-react";
import { useEffect, useRef, useState, type KeyboardEvent } from "react";

import { Button } from "@/ui/button";

interface ComposerProps {
  /** The chat that is written to; the box takes the focus when it changes. */
  chat: string;
  running: boolean;
  disabled: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer({ chat, running, disabled, onSend, onStop }: ComposerProps) {
  const [text, setText] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    // On a touch screen the keyboard would cover the page before anything was read.
    if (matchMedia("(pointer: fine)").matches) box.current?.focus();
  }, [chat]);

  const ready = text.trim() !== "" && !running && !disabled;

  const send = () => {
    if (!ready) return;
    onSend(text.trim());
    setText("");
    box.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
      className="flex items-end gap-2 rounded-2xl border bg-raised p-2 pl-4 focus-within:border-link"
    >
      <textarea
        ref={box}
        aria-label="Message"
        placeholder="Ask a question"
        rows={1}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
        }}
        onKeyDown={onKeyDown}
        className="field-sizing-content max-h-48 min-h-10 w-full resize-none bg-transparent py-2 outline-none placeholder:text-quiet"
      />
      {running ? (
        <Button kind="plain" onClick={onStop} className="rounded-xl px-3.5">
          <Square aria-hidden className="size-3.5 fill-current" />
          Stop
        </Button>
      ) : (
        <Button type="submit" kind="strong" disabled={!ready} className="rounded-xl px-3.5">
          <ArrowUp aria-hidden className="size-4" />
          Send
        </Button>
      )}
    </form>
  );
}
