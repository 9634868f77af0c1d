/** Which model answers, where it runs, and which libraries it may read. */
import { BookOpen } from "lucide-react";

import type { Library, ModelCard } from "@/api/types";
import { freshnessName, freshnessWords } from "@/live/freshness";
import { useNow } from "@/live/time";
import { Choice, Choices, Menu, Toggle } from "@/ui/menu";

export function placeWords(model: ModelCard): string {
  return model.ponant.place === "here" ? "here, on this machine" : "leaves this machine";
}

interface ModelPickerProps {
  models: ModelCard[];
  value: string | null;
  onChange: (id: string) => void;
}

export function ModelPicker({ models, value, onChange }: ModelPickerProps) {
  const chosen = models.find((model) => model.id === value);
  const name = chosen ? `${chosen.id}, ${placeWords(chosen)}` : "none";
  return (
    <Menu
      label={`Model: ${name}`}
      face={
        <>
          <span className="truncate font-medium">{chosen?.id ?? "No model"}</span>
          {chosen ? (
            <span className="hidden truncate text-quiet sm:inline">{placeWords(chosen)}</span>
          ) : null}
        </>
      }
    >
      <Choices value={value ?? ""} onValueChange={onChange}>
        {models.map((model) => (
          <Choice
            key={model.id}
            value={model.id}
            title={model.id}
            note={[model.ponant.name, placeWords(model)].filter(Boolean).join(" · ")}
          />
        ))}
      </Choices>
    </Menu>
  );
}

interface LibraryPickerProps {
  libraries: Library[];
  chosen: string[];
  onChange: (ids: string[]) => void;
}

export function LibraryPicker({ libraries, chosen, onChange }: LibraryPickerProps) {
  const now = useNow();
  const picked = libraries.filter((library) => chosen.includes(library.id));
  const toggle = (id: string, on: boolean) => {
    onChange(on ? [...chosen, id] : chosen.filter((one) => one !== id));
  };
  return (
    <Menu label={`Library: ${pickedName(picked)}`} face={<LibraryFace libraries={picked} />}>
      {libraries.length === 0 ? (
        <p className="px-3 py-2 text-sm text-quiet">There is no library yet.</p>
      ) : null}
      {libraries.map((library) => (
        <Toggle
          key={library.id}
          title={library.name}
          note={freshnessWords(library.freshness, now)}
          checked={chosen.includes(library.id)}
          onChange={(on) => {
            toggle(library.id, on);
          }}
        />
      ))}
    </Menu>
  );
}

function pickedName(picked: Library[]): string {
  return picked.length === 0 ? "none" : picked.map(freshnessName).join("; ");
}

/** The libraries at a glance: one by name and freshness, several by count. */
export function LibraryFace({ libraries }: { libraries: Library[] }) {
  const now = useNow();
  const [first] = libraries;
  if (!first) return <span className="truncate text-quiet">No library</span>;
  const title = libraries.length === 1 ? first.name : `${libraries.length} libraries`;
  const slowest = libraries.find((library) => library.freshness.state !== "in_step") ?? first;
  return (
    <>
      <BookOpen aria-hidden className="size-4 shrink-0 text-quiet" />
      <span className="truncate font-medium">{title}</span>
      <span className="hidden truncate text-quiet tabular-nums sm:inline">
        {freshnessWords(slowest.freshness, now)}
      </span>
    </>
  );
}
