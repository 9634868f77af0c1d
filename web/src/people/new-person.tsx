/** Adds somebody, who then gets a link. */
import { useId, useState, type SubmitEvent } from "react";

import { api } from "@/api/client";
import type { Role } from "@/api/types";
import { usePeopleChange } from "@/people/queries";
import { RolePicker } from "@/people/role-picker";
import { Button } from "@/ui/button";
import { FIELD } from "@/ui/classes";
import { ErrorLine } from "@/ui/dialog";

export function NewPerson() {
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  const [nameField, emailField] = [useId(), useId()];
  const addition = usePeopleChange(api.people.add, () => {
    setName("");
    setEmail("");
  });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (name.trim() === "") return;
    addition.mutate({ name: name.trim(), email: email.trim() === "" ? null : email.trim(), role });
  };
  return (
    <>
      <form onSubmit={submit} className="flex flex-wrap items-end gap-2">
        <div className="min-w-40 flex-1">
          <label htmlFor={nameField} className="mb-1 block text-sm">
            Name
          </label>
          <input
            id={nameField}
            value={name}
            autoComplete="off"
            onChange={(event) => {
              setName(event.target.value);
            }}
            className={FIELD}
          />
        </div>
        <div className="min-w-40 flex-1">
          <label htmlFor={emailField} className="mb-1 block text-sm">
            E-mail, if they have one
          </label>
          <input
            id={emailField}
            type="email"
            value={email}
            autoComplete="off"
            onChange={(event) => {
              setEmail(event.target.value);
            }}
            className={FIELD}
          />
        </div>
        <RolePicker label="Role of the new person" value={role} onChange={setRole} />
        <Button type="submit" disabled={addition.isPending || name.trim() === ""}>
          Add person
        </Button>
      </form>
      <ErrorLine error={addition.error} />
    </>
  );
}
