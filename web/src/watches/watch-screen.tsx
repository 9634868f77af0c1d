/** One watch: what it says now, what happened to it, and whom it tells. */
import { useQuery } from "@tanstack/react-query";
import { Pause, Play, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import type { Watch, WatchKind } from "@/api/types";
import { StateDot } from "@/libraries/state-dot";
import { keys } from "@/live/events";
import { useNow } from "@/live/time";
import { Button } from "@/ui/button";
import { Confirm, ErrorLine } from "@/ui/dialog";
import { Screen, Section } from "@/ui/screen";
import { WatchHistory } from "@/watches/history";
import { useLooked, useWatchChange } from "@/watches/queries";
import { WatchAnswerView } from "@/watches/watch-answer";
import { dot } from "@/watches/watches-screen";
import { Webhook } from "@/watches/webhook";
import { KINDS, stateWords, titleOf } from "@/watches/words";

/** What the answer of each kind is called. */
const NOW: Record<WatchKind, string> = {
  question: "The answer now",
  search: "What is found now",
  sql: "The rows now",
};

export function WatchScreen({ id }: { id: string }) {
  const { data: watch, error } = useQuery({
    queryKey: keys.watch(id),
    queryFn: () => api.watches.get(id),
    retry: false,
  });
  const [, look] = useLooked();
  useEffect(look, [look, watch]);
  if (!watch) {
    return (
      <Screen title="Watch">
        <ErrorLine error={error} />
      </Screen>
    );
  }
  return (
    <Screen
      title={heading(watch)}
      about={<State watch={watch} />}
      actions={<Actions watch={watch} />}
    >
      {watch.kind === "sql" ? <Statement text={watch.query} /> : null}
      <Section title={NOW[watch.kind]}>
        <div aria-live="polite">
          {watch.answer ? (
            <WatchAnswerView kind={watch.kind} answer={watch.answer} />
          ) : (
            <p className="text-quiet">There is no answer yet.</p>
          )}
        </div>
      </Section>
      <Section title="What happened">
        <WatchHistory id={id} kind={watch.kind} />
      </Section>
      <Section title="Tell another program">
        <Webhook watch={watch} />
      </Section>
    </Screen>
  );
}

/** A statement stands under its own heading, which is longer than a title may be. */
function heading(watch: Watch): string {
  return watch.kind === "sql" ? watch.name || KINDS.sql : titleOf(watch);
}

function Statement({ text }: { text: string }) {
  return (
    <Section title="The statement">
      <pre className="font-mono text-xs [overflow-wrap:anywhere] whitespace-pre-wrap">{text}</pre>
    </Section>
  );
}

function State({ watch }: { watch: Watch }) {
  const now = useNow();
  return (
    <span className="flex items-center gap-2 tabular-nums">
      <StateDot state={dot(watch)} />
      {stateWords(watch, now)}
    </span>
  );
}

function Actions({ watch }: { watch: Watch }) {
  const [leaving, setLeaving] = useState(false);
  const [, navigate] = useLocation();
  const paused = watch.state === "paused";
  const turn = useWatchChange(() =>
    paused ? api.watches.resume(watch.id) : api.watches.pause(watch.id),
  );
  const removal = useWatchChange(() => api.watches.remove(watch.id));
  return (
    <>
      <Button
        disabled={turn.isPending}
        onClick={() => {
          turn.mutate(undefined);
        }}
      >
        {paused ? (
          <Play aria-hidden className="size-4" />
        ) : (
          <Pause aria-hidden className="size-4" />
        )}
        {paused ? "Resume" : "Pause"}
      </Button>
      <Button
        onClick={() => {
          setLeaving(true);
        }}
      >
        <Trash2 aria-hidden className="size-4" />
        Delete watch
      </Button>
      <ErrorLine error={turn.error} />
      {leaving ? (
        <Confirm
          title="Delete watch"
          action="Delete watch"
          busy={removal.isPending}
          error={removal.error}
          onConfirm={() => {
            removal.mutate(undefined, {
              onSuccess: () => {
                navigate("/watches");
              },
            });
          }}
          onClose={() => {
            setLeaving(false);
          }}
        >
          “{titleOf(watch)}” will not be answered again, and what happened to it is gone.
        </Confirm>
      ) : null}
    </>
  );
}
