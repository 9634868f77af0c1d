/** The frame around every screen: the list at the left, or behind a button where there is no room. */
import { Menu, X } from "lucide-react";
import { useState, type ReactNode } from "react";

import { LiveEvents } from "@/live/events";
import { Sidebar } from "@/shell/sidebar";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";

export function Shell({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const close = () => {
    setOpen(false);
  };
  return (
    <div className="flex h-full">
      <LiveEvents />
      <a
        href="#main"
        className="sr-only z-50 rounded-lg bg-paper px-4 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        Skip to the content
      </a>
      {open ? (
        <button
          type="button"
          aria-label="Close the list of chats"
          onClick={close}
          className="fixed inset-0 z-30 bg-ink/30 md:hidden"
        />
      ) : null}
      <div
        className={classes(
          "fixed inset-y-0 left-0 z-40 border-r md:visible md:static",
          open ? "visible" : "invisible",
        )}
      >
        <Sidebar onGo={close} />
      </div>
      <Button
        kind="quiet"
        size="icon"
        aria-label={open ? "Hide chats" : "Show chats"}
        aria-expanded={open}
        onClick={() => {
          setOpen(!open);
        }}
        className={classes("fixed top-2 z-40 md:hidden", open ? "left-[16.5rem]" : "left-2")}
      >
        {open ? <X aria-hidden className="size-5" /> : <Menu aria-hidden className="size-5" />}
      </Button>
      <main id="main" tabIndex={-1} className="min-w-0 flex-1 outline-none">
        {children}
      </main>
    </div>
  );
}
