/** One watch: what it says now, what happened to it, and whom it tells. */
import { useQuery } from "@tanstack/react-query";
import { Pause, Play, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { useLocation } from "wouter";

import { api } from "@/api/client";
import type { Watch } from "@/api/types";
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
import { stateWords } from "@/watches/words";

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
    <Screen title={watch.query} about={<State watch={watch} />} actions={<Actions watch={watch} />}>
      <Section title="The answer now">
        <div aria-live="polite">
          {watch.answer ? (
            <WatchAnswerView answer={watch.answer} />
          ) : (
            <p className="text-quiet">There is no answer yet.</p>
          )}
        </div>
      </Section>
      <Section title="What happened">
        <WatchHistory id={id} />
      </Section>
      <Section title="Tell another program">
        <Webhook watch={watch} />
      </Section>
    </Screen>
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
          “{watch.query}” will not be answered again, and what happened to it is gone.
        </Confirm>
      ) : null}
    </>
  );
}
