/** Who may come in, what they may do, and the groups that access lists name; for administrators. */
import { useIsAdmin } from "@/session/session";
import { GroupList } from "@/people/group-list";
import { NewPerson } from "@/people/new-person";
import { PersonList } from "@/people/person-list";
import { Screen, Section } from "@/ui/screen";

export function PeopleScreen() {
  if (!useIsAdmin()) {
    return (
      <Screen
        title="People"
        about="Administrators see and change who may come in. Ask one of them."
      >
        {null}
      </Screen>
    );
  }
  return (
    <Screen title="People" about="Who may come in, what they may do, and the groups they are in.">
      <Section title="Members">
        <NewPerson />
        <PersonList />
      </Section>
      <Section title="Groups">
        <GroupList />
      </Section>
    </Screen>
  );
}
