/** Who is signed in, how the page looks, and the keys of one's programs. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { LogOut } from "lucide-react";

import { api } from "@/api/client";
import { useIsAdmin, useWhoAmI } from "@/session/session";
import { ApiKeys } from "@/settings/api-keys";
import { THEMES, useTheme } from "@/settings/theme";
import { Button } from "@/ui/button";
import { ErrorLine } from "@/ui/dialog";
import { Screen, Section } from "@/ui/screen";

export function SettingsScreen() {
  const admin = useIsAdmin();
  return (
    <Screen title="Settings">
      <Section title="You">
        <You />
      </Section>
      <Section title="Look">
        <Look />
      </Section>
      {admin ? (
        <Section title="API keys">
          <ApiKeys />
        </Section>
      ) : null}
    </Screen>
  );
}

const ROLES = { admin: "administrator", member: "member", viewer: "viewer" };

function You() {
  const { data } = useWhoAmI();
  const client = useQueryClient();
  const leaving = useMutation({
    mutationFn: api.session.close,
    onSuccess: () => {
      // A full load: nothing of this session stays in the page's memory.
      client.clear();
      location.assign("/");
    },
  });
  if (!data) return null;
  return (
    <div className="border-y px-2 py-4">
      <div className="flex flex-wrap items-center justify-between gap-4">
        <div>
          <p className="font-medium">{data.person.name}</p>
          <p className="text-sm text-quiet">
            {ROLES[data.person.role]} of {data.workspace.name}, {data.organisation.name}
          </p>
        </div>
        <Button
          disabled={leaving.isPending}
          onClick={() => {
            leaving.mutate();
          }}
        >
          <LogOut aria-hidden className="size-4" />
          Sign out
        </Button>
      </div>
      <ErrorLine error={leaving.error} />
    </div>
  );
}

function Look() {
  const [theme, setTheme] = useTheme();
  return (
    <fieldset className="flex flex-wrap gap-2">
      <legend className="sr-only">Theme</legend>
      {THEMES.map(({ value, name }) => (
        <label
          key={value}
          className="flex h-10 items-center gap-2 rounded-lg border bg-raised px-4 text-sm has-checked:border-link has-checked:bg-link-soft has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-link"
        >
          <input
            type="radio"
            name="theme"
            value={value}
            checked={theme === value}
            onChange={() => {
              setTheme(value);
            }}
            className="accent-fill"
          />
          {name}
        </label>
      ))}
    </fieldset>
  );
}
