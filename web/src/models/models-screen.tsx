/** The models that can be used, where each runs, and what its licence asks. */
import type { ReactNode } from "react";

import type { ModelCard } from "@/api/types";
import { placeWords } from "@/chat/pickers";
import { useModels } from "@/models/queries";
import { classes } from "@/ui/classes";
import { ErrorLine } from "@/ui/dialog";
import { Screen } from "@/ui/screen";

export function ModelsScreen() {
  const { data, error } = useModels();
  return (
    <Screen title="Models" about="What answers and what reads, and where each of them runs.">
      <ErrorLine error={error} />
      <ul className="grid gap-4 md:grid-cols-2">
        {data?.toSorted(answersFirst).map((model) => (
          <Card key={model.id} model={model} />
        ))}
      </ul>
      <p className="mt-8 max-w-prose text-sm text-quiet">
        Add one on the machine that runs Ponant: <Command>ponant pull</Command> brings a model here,{" "}
        <Command>ponant upstream add</Command> joins one that runs elsewhere.
      </p>
    </Screen>
  );
}

/** States that need more than their name. */
const STATES: Record<string, string> = { stopped: "starts when it is asked" };

function answersFirst(one: ModelCard, other: ModelCard): number {
  return Number(other.ponant.chat) - Number(one.ponant.chat);
}

function Command({ children }: { children: string }) {
  return <code className="font-mono text-xs text-text">{children}</code>;
}

function Card({ model }: { model: ModelCard }) {
  const about = model.ponant;
  const leaves = about.place === "elsewhere";
  return (
    <li className="flex flex-col rounded-xl border bg-raised p-5">
      <div className="flex items-baseline justify-between gap-3">
        <h2 className="font-semibold [overflow-wrap:anywhere]">{model.id}</h2>
        <span className="text-xs text-quiet">{purpose(model)}</span>
      </div>
      {about.name ? <p className="text-sm text-quiet">{about.name}</p> : null}
      {about.description ? <p className="mt-3 text-sm">{about.description}</p> : null}
      <dl className="mt-4 grid grid-cols-[6.5rem_1fr] gap-x-3 gap-y-1.5 text-sm">
        <Fact name="Place">
          <span className={classes(leaves && "border-l-2 border-warm bg-warm-soft px-1.5")}>
            {placeWords(model)}
          </span>
        </Fact>
        <Fact name="State">{STATES[about.state] ?? about.state}</Fact>
        <Fact name="Note">{about.detail}</Fact>
        <Fact name="Origin">{about.origin}</Fact>
        <Fact name="Licence">{about.licence}</Fact>
        <Fact name="Restrictions">{about.restrictions}</Fact>
        <Fact name="Reads up to">
          {model.max_context_length
            ? `${model.max_context_length.toLocaleString("en")} tokens`
            : null}
        </Fact>
      </dl>
    </li>
  );
}

function purpose(model: ModelCard): string {
  if (model.ponant.chat) return "answers";
  return model.ponant.embedding ? "finds passages" : "";
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  if (!children) return null;
  return (
    <>
      <dt className="text-quiet">{name}</dt>
      <dd className="[overflow-wrap:anywhere]">{children}</dd>
    </>
  );
}
