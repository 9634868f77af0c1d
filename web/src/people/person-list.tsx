/** The members: their role, their groups, a link to come in, and the way out. */
import { Copy } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import type { Person, Role } from "@/api/types";
import { usePeople, usePeopleChange } from "@/people/queries";
import { RolePicker } from "@/people/role-picker";
import { Button } from "@/ui/button";
import { Confirm, ErrorLine } from "@/ui/dialog";

export function PersonList() {
  const { data, error } = usePeople();
  const [leaving, setLeaving] = useState<Person | null>(null);
  const role = usePeopleChange(({ id, to }: { id: string; to: Role }) =>
    api.people.setRole(id, to),
  );
  const invitation = usePeopleChange((person: Person) => api.people.invite(person.id));
  return (
    <>
      <ErrorLine error={error ?? role.error ?? invitation.error} />
      {invitation.data ? (
        <Link name={invitation.variables.name} path={invitation.data.path} />
      ) : null}
      <ul aria-label="Members" className="mt-6 divide-y border-y">
        {(data ?? []).map((person) => (
          <li key={person.id} className="flex flex-wrap items-center gap-x-4 gap-y-2 px-2 py-3">
            <div className="min-w-40 flex-1 text-sm">
              <p className="font-medium [overflow-wrap:anywhere]">{person.name}</p>
              <p className="[overflow-wrap:anywhere] text-quiet">{about(person)}</p>
            </div>
            <RolePicker
              label={`Role of ${person.name}`}
              value={person.role}
              disabled={role.isPending}
              onChange={(to) => {
                role.mutate({ id: person.id, to });
              }}
            />
            <Button
              aria-label={`Make a sign-in link for ${person.name}`}
              disabled={invitation.isPending}
              onClick={() => {
                invitation.mutate(person);
              }}
            >
              Sign-in link
            </Button>
            <Button
              kind="quiet"
              aria-label={`Remove ${person.name}`}
              onClick={() => {
                setLeaving(person);
              }}
            >
              Remove
            </Button>
          </li>
        ))}
      </ul>
      {leaving ? (
        <RemovePerson
          person={leaving}
          onClose={() => {
            setLeaving(null);
          }}
        />
      ) : null}
    </>
  );
}

function about(person: Person): string {
  const groups = person.groups.length > 0 ? `in ${person.groups.join(", ")}` : "in no group";
  return person.email ? `${person.email}, ${groups}` : groups;
}

function Link({ name, path }: { name: string; path: string }) {
  const [copied, setCopied] = useState("");
  const url = location.origin + path;
  const copy = async () => {
    await navigator.clipboard.writeText(url);
    setCopied(url);
  };
  return (
    <div role="status" className="mt-4 border-l-2 border-warm bg-warm-soft px-4 py-3 text-sm">
      <p>
        This link signs in as {name}, once, within 15 minutes. It is shown this once: send it to
        them and to nobody else.
      </p>
      <div className="mt-2 flex flex-wrap items-center gap-2">
        <code className="rounded-md bg-paper px-2 py-1 font-mono text-xs [overflow-wrap:anywhere]">
          {url}
        </code>
        <Button size="small" onClick={copy}>
          <Copy aria-hidden className="size-3.5" />
          {copied === url ? "Copied" : "Copy link"}
        </Button>
      </div>
    </div>
  );
}

function RemovePerson({ person, onClose }: { person: Person; onClose: () => void }) {
  const removal = usePeopleChange(() => api.people.remove(person.id), onClose);
  return (
    <Confirm
      title="Remove person"
      action="Remove person"
      busy={removal.isPending}
      error={removal.error}
      onConfirm={() => {
        removal.mutate(undefined);
      }}
      onClose={onClose}
    >
      “{person.name}” leaves this workspace, and their keys open nothing here any more. What they
      wrote stays.
    </Confirm>
  );
}
