/** The fields of a new watch; the browser holds what is typed. */
import { useQuery } from "@tanstack/react-query";
import { useId } from "react";

import { api } from "@/api/client";
import type { Library, WatchKind } from "@/api/types";
import type { Setup } from "@/chat/setup";
import { classes, FIELD } from "@/ui/classes";
import { ErrorLine } from "@/ui/dialog";
import { KINDS } from "@/watches/words";

/** The most that the server takes. */
const LONGEST_QUERY = 4000;
const LONGEST_NAME = 200;

const ASKED: Record<WatchKind, { label: string; example: string; about: string }> = {
  question: {
    label: "What to ask",
    example: "When does the reception desk open?",
    about: "A model answers it again when the passages it rests on change.",
  },
  search: {
    label: "What to search for",
    example: "opening hours of the desk",
    about: "Tells which passages come and go. No model is asked.",
  },
  sql: {
    label: "Statement in SQL",
    example: "SELECT item, amount FROM stock WHERE amount < 5",
    about: "One SELECT. Tells which rows come and go. No model is asked.",
  },
};

interface KindFieldProps {
  value: WatchKind;
  onChange: (kind: WatchKind) => void;
}

export function KindField({ value, onChange }: KindFieldProps) {
  const field = useId();
  return (
    <div>
      <label htmlFor={field} className="mb-1 block text-sm">
        Kind
      </label>
      <select
        id={field}
        value={value}
        className={FIELD}
        onChange={(event) => {
          onChange(event.target.value as WatchKind);
        }}
      >
        {Object.entries(KINDS).map(([kind, words]) => (
          <option key={kind} value={kind}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}

export function QueryField({ kind }: { kind: WatchKind }) {
  const field = useId();
  const { label, example, about } = ASKED[kind];
  return (
    <div>
      <label htmlFor={field} className="mb-1 block text-sm">
        {label}
      </label>
      <textarea
        id={field}
        name="query"
        required
        rows={kind === "sql" ? 4 : 2}
        maxLength={LONGEST_QUERY}
        placeholder={example}
        spellCheck={kind !== "sql"}
        aria-describedby={`${field}-about`}
        className={classes(FIELD, "block h-auto py-2", kind === "sql" && "font-mono")}
      />
      <p id={`${field}-about`} className="mt-1 text-xs text-quiet">
        {about}
      </p>
    </div>
  );
}

export function LibraryField({ setup }: { setup: Setup }) {
  const chosen = setup.libraries.map(({ id }) => id);
  return (
    <fieldset>
      <legend className="mb-1 text-sm">Libraries</legend>
      {setup.all.length === 0 ? (
        <p className="text-sm text-quiet">There is no library yet. Add one first.</p>
      ) : null}
      <div className="max-h-40 overflow-y-auto">
        {setup.all.map((library) => (
          <LibraryBox key={library.id} library={library} checked={chosen.includes(library.id)} />
        ))}
      </div>
    </fieldset>
  );
}

function LibraryBox({ library, checked }: { library: Library; checked: boolean }) {
  return (
    <label className="flex items-center gap-2 py-1 text-sm">
      <input
        type="checkbox"
        name="library"
        value={library.id}
        defaultChecked={checked}
        className="size-4 accent-fill"
      />
      <span className="[overflow-wrap:anywhere]">{library.name}</span>
    </label>
  );
}

export function ModelField({ setup }: { setup: Setup }) {
  const field = useId();
  return (
    <div>
      <label htmlFor={field} className="mb-1 block text-sm">
        Model
      </label>
      <select
        key={setup.model}
        id={field}
        name="model"
        defaultValue={setup.model ?? ""}
        className={FIELD}
      >
        {setup.models.map(({ id }) => (
          <option key={id}>{id}</option>
        ))}
      </select>
    </div>
  );
}

export function NameField() {
  const field = useId();
  return (
    <div>
      <label htmlFor={field} className="mb-1 block text-sm">
        Name, if it should have one
      </label>
      <input id={field} name="name" maxLength={LONGEST_NAME} className={FIELD} />
    </div>
  );
}

/** What a statement may ask, to be copied from. */
export function TableNames() {
  const { data, error } = useQuery({ queryKey: ["tables"], queryFn: api.tables });
  if (data?.length === 0) {
    return (
      <p className="text-sm text-quiet">
        There is no live table that you may ask. Pipelines make them.
      </p>
    );
  }
  return (
    <div className="text-sm">
      <p className="mb-1">Tables that you may ask</p>
      <ErrorLine error={error} />
      <ul aria-label="Tables" className="max-h-40 overflow-y-auto">
        {(data ?? []).map(({ name, columns }) => (
          <li key={name} className="py-1 font-mono text-xs [overflow-wrap:anywhere]">
            {name}{" "}
            <span className="text-quiet">{columns.map((column) => column.name).join(", ")}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
