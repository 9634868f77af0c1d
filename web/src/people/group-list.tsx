/** Groups: made, filled, emptied and taken away. */
import { X } from "lucide-react";
import { useState } from "react";

import { api } from "@/api/client";
import type { Group, Person } from "@/api/types";
import { useGroups, usePeople, usePeopleChange } from "@/people/queries";
import { Button } from "@/ui/button";
import { Confirm, ErrorLine } from "@/ui/dialog";
import { NameForm } from "@/ui/name-form";

export function GroupList() {
  const { data, error } = useGroups();
  const people = usePeople().data ?? [];
  const [leaving, setLeaving] = useState<Group | null>(null);
  return (
    <>
      <p className="mb-4 max-w-prose text-sm text-quiet">
        Documents and tables may be for some groups alone. Who is in one reads them from the next
        question on.
      </p>
      <NewGroup />
      <ErrorLine error={error} />
      <ul aria-label="Groups" className="mt-6 divide-y border-y">
        {(data ?? []).map((group) => (
          <GroupRow key={group.id} group={group} people={people} onRemove={setLeaving} />
        ))}
      </ul>
      {leaving ? (
        <RemoveGroup
          group={leaving}
          onClose={() => {
            setLeaving(null);
          }}
        />
      ) : null}
    </>
  );
}

function NewGroup() {
  const addition = usePeopleChange(api.groups.add);
  return (
    <>
      <NameForm
        label="Name of the group"
        action="Add group"
        busy={addition.isPending}
        onMake={addition.mutate}
      />
      <ErrorLine error={addition.error} />
    </>
  );
}

interface GroupRowProps {
  group: Group;
  people: Person[];
  onRemove: (group: Group) => void;
}

function GroupRow({ group, people, onRemove }: GroupRowProps) {
  const joining = usePeopleChange((person: string) => api.groups.join(group.id, person));
  const going = usePeopleChange((person: string) => api.groups.leave(group.id, person));
  const inside = people.filter((person) => group.members.includes(person.id));
  const outside = people.filter((person) => !group.members.includes(person.id));
  const elsewhere = group.members.length - inside.length;
  return (
    <li aria-label={group.name} className="px-2 py-3 text-sm">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
        <p className="min-w-40 flex-1 font-medium [overflow-wrap:anywhere]">{group.name}</p>
        <select
          aria-label={`Put somebody into ${group.name}`}
          value=""
          disabled={joining.isPending || outside.length === 0}
          onChange={(event) => {
            joining.mutate(event.target.value);
          }}
          className="h-10 max-w-full rounded-lg border bg-raised px-3 text-sm"
        >
          <option value="">Put somebody in</option>
          {outside.map((person) => (
            <option key={person.id} value={person.id}>
              {person.name}
            </option>
          ))}
        </select>
        <Button
          kind="quiet"
          aria-label={`Remove the group ${group.name}`}
          onClick={() => {
            onRemove(group);
          }}
        >
          Remove
        </Button>
      </div>
      <ul aria-label={`Members of ${group.name}`} className="mt-1 flex flex-wrap gap-2">
        {inside.map((person) => (
          <li key={person.id} className="flex items-center gap-1 rounded-lg border pl-3">
            <span className="[overflow-wrap:anywhere]">{person.name}</span>
            <Button
              kind="quiet"
              size="small"
              aria-label={`Take ${person.name} out of ${group.name}`}
              disabled={going.isPending}
              onClick={() => {
                going.mutate(person.id);
              }}
            >
              <X aria-hidden className="size-4" />
            </Button>
          </li>
        ))}
      </ul>
      {elsewhere > 0 ? (
        <p className="mt-1 text-quiet">
          {elsewhere === 1 ? "1 more is" : `${elsewhere} more are`} of other workspaces.
        </p>
      ) : null}
      <ErrorLine error={joining.error ?? going.error} />
    </li>
  );
}

function RemoveGroup({ group, onClose }: { group: Group; onClose: () => void }) {
  const removal = usePeopleChange(() => api.groups.remove(group.id), onClose);
  return (
    <Confirm
      title="Remove group"
      action="Remove group"
      busy={removal.isPending}
      error={removal.error}
      onConfirm={() => {
        removal.mutate(undefined);
      }}
      onClose={onClose}
    >
      Nobody reads anything by “{group.name}” any more. The people in it stay.
    </Confirm>
  );
}
