/** The quiet list at the left: chats by day, then the other rooms. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { BookOpen, Cpu, Eye, Plus, Settings, Trash2, Users, type LucideIcon } from "lucide-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";

import { api } from "@/api/client";
import type { Conversation } from "@/api/types";
import { chats, DRAFT } from "@/chat/store";
import { keys } from "@/live/events";
import { useIsAdmin } from "@/session/session";
import { byDay } from "@/shell/days";
import { Button } from "@/ui/button";
import { classes } from "@/ui/classes";
import { Confirm } from "@/ui/dialog";
import { useWatchNews } from "@/watches/queries";

const ROW =
  "flex items-center gap-2.5 rounded-lg px-3 py-2 text-sm transition-colors duration-100 hover:bg-link-soft aria-[current=page]:bg-link-soft aria-[current=page]:font-medium";

export function Sidebar({ onGo }: { onGo: () => void }) {
  return (
    <nav aria-label="Ponant" className="flex h-full w-64 flex-col bg-tint p-3">
      <Place
        to="/"
        icon={Plus}
        name="New chat"
        onGo={() => {
          chats.forget(DRAFT);
          onGo();
        }}
      />
      <ChatList onGo={onGo} />
      <div className="mt-2 border-t pt-2">
        <Place to="/libraries" icon={BookOpen} name="Libraries" onGo={onGo} />
        <Place to="/watches" icon={Eye} name="Watches" news={useWatchNews()} onGo={onGo} />
        <Place to="/models" icon={Cpu} name="Models" onGo={onGo} />
        {useIsAdmin() ? <Place to="/people" icon={Users} name="People" onGo={onGo} /> : null}
        <Place to="/settings" icon={Settings} name="Settings" onGo={onGo} />
      </div>
    </nav>
  );
}

interface PlaceProps {
  to: string;
  icon: LucideIcon;
  name: string;
  /** What has happened there since one last looked, in words. */
  news?: string | null;
  onGo: () => void;
}

function Place({ to, icon: Icon, name, news, onGo }: PlaceProps) {
  const [path] = useLocation();
  const here = to === "/" ? path === "/" : path.startsWith(to);
  return (
    <Link href={to} onClick={onGo} aria-current={here ? "page" : undefined} className={ROW}>
      <Icon aria-hidden className="size-4 text-quiet" />
      {name}
      {news ? (
        <span className="ml-auto flex items-center">
          <span aria-hidden className="size-2 rounded-full bg-warm" />
          <span className="sr-only">, {news}</span>
        </span>
      ) : null}
    </Link>
  );
}

function ChatList({ onGo }: { onGo: () => void }) {
  const { data } = useQuery({ queryKey: keys.conversations, queryFn: api.conversations.list });
  const [leaving, setLeaving] = useState<Conversation | null>(null);
  return (
    <div className="mt-2 min-h-0 flex-1 overflow-y-auto">
      {byDay(data ?? [], new Date()).map((group) => (
        <section key={group.title} aria-label={group.title} className="mb-4">
          <h2 className="px-3 py-1.5 text-xs font-medium text-quiet">{group.title}</h2>
          <ul>
            {group.chats.map((chat) => (
              <ChatRow key={chat.id} chat={chat} onGo={onGo} onDelete={setLeaving} />
            ))}
          </ul>
        </section>
      ))}
      {leaving ? (
        <DeleteChat
          chat={leaving}
          onClose={() => {
            setLeaving(null);
          }}
        />
      ) : null}
    </div>
  );
}

function title(chat: Conversation): string {
  return chat.name && chat.name !== "" ? chat.name : "Untitled chat";
}

interface ChatRowProps {
  chat: Conversation;
  onGo: () => void;
  onDelete: (chat: Conversation) => void;
}

function ChatRow({ chat, onGo, onDelete }: ChatRowProps) {
  const [path] = useLocation();
  const to = `/chat/${chat.id}`;
  return (
    <li className="group relative">
      <Link
        href={to}
        onClick={onGo}
        aria-current={path === to ? "page" : undefined}
        className={classes(ROW, "block truncate py-1.5 pr-9")}
      >
        {title(chat)}
      </Link>
      <Button
        kind="quiet"
        aria-label={`Delete chat ${title(chat)}`}
        onClick={() => {
          onDelete(chat);
        }}
        className="absolute top-0.5 right-0.5 size-7 p-0 opacity-0 group-hover:opacity-100 focus-visible:opacity-100 pointer-coarse:opacity-100"
      >
        <Trash2 aria-hidden className="size-3.5" />
      </Button>
    </li>
  );
}

function DeleteChat({ chat, onClose }: { chat: Conversation; onClose: () => void }) {
  const client = useQueryClient();
  const [path, navigate] = useLocation();
  const removal = useMutation({
    mutationFn: () => api.conversations.remove(chat.id),
    onSuccess: () => {
      chats.forget(chat.id);
      if (path === `/chat/${chat.id}`) navigate("/");
      onClose();
      return client.invalidateQueries({ queryKey: keys.conversations, exact: true });
    },
  });
  return (
    <Confirm
      title="Delete chat"
      action="Delete chat"
      busy={removal.isPending}
      error={removal.error}
      onConfirm={() => {
        removal.mutate();
      }}
      onClose={onClose}
    >
      “{title(chat)}” and its answers will be gone for good. Libraries and files stay.
    </Confirm>
  );
}
