/** Puts chats under the days that people speak of. */
import type { Conversation } from "@/api/types";

export interface Group {
  title: string;
  chats: Conversation[];
}

const DAY = 86_400_000;

/** Newest first, under "Today", "Yesterday", "Last seven days" and "Earlier". */
export function byDay(conversations: Conversation[], now: Date): Group[] {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const newest = conversations.toSorted((one, other) => moment(other) - moment(one));
  const groups: Group[] = [];
  for (const chat of newest) {
    const title = heading(moment(chat), midnight);
    const last = groups.at(-1);
    if (last?.title === title) last.chats.push(chat);
    else groups.push({ title, chats: [chat] });
  }
  return groups;
}

function moment(conversation: Conversation): number {
  return Date.parse(conversation.updated_at);
}

function heading(at: number, midnight: number): string {
  if (at >= midnight) return "Today";
  if (at >= midnight - DAY) return "Yesterday";
  if (at >= midnight - 7 * DAY) return "Last seven days";
  return "Earlier";
}
