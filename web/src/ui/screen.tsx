/** The frame of a screen that is not a chat: a title, a sentence, what can be done. */
import { useId, type ReactNode } from "react";

import { useTitle } from "@/ui/title";

interface ScreenProps {
  title: string;
  about?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

export function Screen({ title, about, actions, children }: ScreenProps) {
  useTitle(title);
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto w-full max-w-4xl px-6 pt-16 pb-16 md:pt-10">
        <header className="mb-8 flex flex-wrap items-end justify-between gap-4">
          <div className="max-w-prose min-w-0">
            <h1 className="text-2xl font-semibold tracking-tight text-balance [overflow-wrap:anywhere]">
              {title}
            </h1>
            {about ? <p className="mt-2 text-quiet">{about}</p> : null}
          </div>
          {actions ? <div className="flex flex-wrap gap-2">{actions}</div> : null}
        </header>
        {children}
      </div>
    </div>
  );
}

/** A part of a screen under a heading of its own. */
export function Section({ title, children }: { title: string; children: ReactNode }) {
  const heading = useId();
  return (
    <section aria-labelledby={heading} className="mt-10 first:mt-0">
      <h2 id={heading} className="mb-3 text-sm font-semibold text-quiet">
        {title}
      </h2>
      {children}
    </section>
  );
}
