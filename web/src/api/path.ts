/** Addresses at the server, checked against its own description when the page is built. */
import type { paths } from "@/api/schema";

type Names<Template extends string> = Template extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Names<Rest>
  : never;

export type Template = keyof paths;

/** Nothing for a template without names. */
type Given<T extends string> = [Names<T>] extends [never] ? [] : [Record<Names<T>, string>];

/** Fills a template such as "/v1/libraries/{library_id}". */
export function at<T extends Template>(template: T, ...given: Given<T>): string {
  const names: Record<string, string> = given[0] ?? {};
  return template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
}
