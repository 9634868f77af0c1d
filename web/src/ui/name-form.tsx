/** One line: a name, and the button that makes something of that name. */
import { useId, useState, type SubmitEvent } from "react";

import { Button } from "@/ui/button";
import { FIELD } from "@/ui/classes";

interface NameFormProps {
  /** What the name is of. */
  label: string;
  /** What the button does. */
  action: string;
  example?: string;
  busy: boolean;
  /** The name stays in the form until it was made, so that it can be tried again. */
  onMake: (name: string, then: { onSuccess: () => void }) => void;
}

export function NameForm({ label, action, example, busy, onMake }: NameFormProps) {
  const [name, setName] = useState("");
  const field = useId();
  const given = name.trim();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (given === "") return;
    onMake(given, {
      onSuccess: () => {
        setName("");
      },
    });
  };
  return (
    <form onSubmit={submit} className="flex flex-wrap items-end gap-2">
      <div className="min-w-0 flex-1 sm:max-w-xs">
        <label htmlFor={field} className="mb-1 block text-sm">
          {label}
        </label>
        <input
          id={field}
          value={name}
          autoComplete="off"
          placeholder={example}
          onChange={(event) => {
            setName(event.target.value);
          }}
          className={FIELD}
        />
      </div>
      <Button type="submit" disabled={busy || given === ""}>
        {action}
      </Button>
    </form>
  );
}
