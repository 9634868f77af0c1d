/** Signing in by link: the token stands behind the # so that no log ever sees it. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import { keys } from "@/live/events";
import { Mark } from "@/ui/mark";
import { ErrorLine } from "@/ui/dialog";

function Quiet({ title, children }: { title: string; children: ReactNode }) {
  return (
    <main className="flex h-full items-center justify-center p-6">
      <div className="w-full max-w-md">
        <Mark className="mb-6 size-12" />
        <h1 className="text-2xl font-semibold tracking-tight">{title}</h1>
        <div className="mt-3 space-y-3 text-quiet">{children}</div>
      </div>
    </main>
  );
}

/** Shown to whoever has no session. */
export function SignedOut({ error = null }: { error?: Error | null }) {
  return (
    <Quiet title="Sign in to Ponant">
      <p>On the machine that runs Ponant, run</p>
      <pre className="rounded-lg border bg-raised px-4 py-3 font-mono text-sm text-text">
        ponant link
      </pre>
      <p>and open the link that it prints. It works once, for 15 minutes.</p>
      <ErrorLine error={error} />
    </Quiet>
  );
}

/** Spends the token of the address, then goes to the chat. */
export function SignIn() {
  const client = useQueryClient();
  const [, navigate] = useLocation();
  const [error, setError] = useState<Error | null>(null);
  const spent = useRef(false);
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get("token"));

  useEffect(() => {
    if (spent.current || token === null) return;
    spent.current = true;
    history.replaceState(null, "", "/sign-in");
    api.session
      .open(token)
      .then(() => client.query({ queryKey: keys.whoami, queryFn: api.session.whoami }))
      .then(() => {
        navigate("/", { replace: true });
      })
      .catch((reason: unknown) => {
        setError(reason instanceof Error ? reason : new Error(String(reason)));
      });
  }, [client, navigate, token]);

  if (error || token === null) return <SignedOut error={error} />;
  return (
    <Quiet title="Signing in">
      <p role="status">One moment.</p>
    </Quiet>
  );
}
