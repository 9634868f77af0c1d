/** Files from the reader's own machine, dropped or picked. */
import { useState, type DragEvent, type ReactNode } from "react";

import { classes } from "@/ui/classes";

/** Opens the browser's file chooser. */
export function pickFiles(onFiles: (files: File[]) => void): void {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  input.addEventListener("change", () => {
    take(input.files, onFiles);
  });
  input.click();
}

function take(list: FileList | null, onFiles: (files: File[]) => void): void {
  const files = Array.from(list ?? []);
  if (files.length > 0) onFiles(files);
}

interface FileDropProps {
  onFiles: (files: File[]) => void;
  children: ReactNode;
}

/** A place to drop files on; a button inside must open the chooser, for those who use no mouse. */
export function FileDrop({ onFiles, children }: FileDropProps) {
  const [over, setOver] = useState(false);

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer.files, onFiles);
  };

  return (
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions
    <div
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => {
        setOver(false);
      }}
      onDrop={onDrop}
      className={classes("rounded-xl border border-dashed p-5", over && "border-warm bg-warm-soft")}
    >
      {children}
    </div>
  );
}
