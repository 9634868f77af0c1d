/** Which screen stands at which address, and for whom. */
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Route, Switch } from "wouter";

import { ApiError } from "@/api/client";
import { ChatScreen } from "@/chat/chat-screen";
import { LibrariesScreen } from "@/libraries/libraries-screen";
import { LibraryScreen } from "@/libraries/library-screen";
import { keys } from "@/live/events";
import { ModelsScreen } from "@/models/models-screen";
import { PeopleScreen } from "@/people/people-screen";
import { useWhoAmI } from "@/session/session";
import { SignedOut, SignIn } from "@/session/sign-in";
import { SettingsScreen } from "@/settings/settings-screen";
import { ThemeKeeper } from "@/settings/theme";
import { Shell } from "@/shell/shell";
import { Screen } from "@/ui/screen";
import { WatchScreen } from "@/watches/watch-screen";
import { WatchesScreen } from "@/watches/watches-screen";

/** A session that ended shows itself at the next request, wherever that came from. */
function onError(error: Error): void {
  if (error instanceof ApiError && error.status === 401) client.setQueryData(keys.whoami, null);
}

const client = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      retry: (count, error) => count < 2 && error instanceof ApiError && error.status === 0,
    },
  },
});

export function App() {
  return (
    <QueryClientProvider client={client}>
      <ThemeKeeper />
      <Switch>
        <Route path="/sign-in">
          <SignIn />
        </Route>
        <Route>
          <Rooms />
        </Route>
      </Switch>
    </QueryClientProvider>
  );
}

function Rooms() {
  const { data, error } = useWhoAmI();
  if (error) return <SignedOut error={error} />;
  if (data === undefined) return null;
  if (data === null) return <SignedOut />;
  return (
    <Shell>
      <Switch>
        <Route path="/libraries">
          <LibrariesScreen />
        </Route>
        <Route path="/libraries/:id">{({ id }) => <LibraryScreen key={id} id={id} />}</Route>
        <Route path="/watches">
          <WatchesScreen />
        </Route>
        <Route path="/watches/:id">{({ id }) => <WatchScreen key={id} id={id} />}</Route>
        <Route path="/models">
          <ModelsScreen />
        </Route>
        <Route path="/people">
          <PeopleScreen />
        </Route>
        <Route path="/settings">
          <SettingsScreen />
        </Route>
        {/* One route for both, so that a new chat keeps its screen when the server names it. */}
        <Route path={/^\/(?:chat\/(?<id>[^/]+))?$/}>
          {(params) => <ChatScreen id={(params as { id?: string }).id ?? null} />}
        </Route>
        <Route>
          <Screen title="There is nothing here" about="Choose a room from the list at the left.">
            {null}
          </Screen>
        </Route>
      </Switch>
    </Shell>
  );
}
