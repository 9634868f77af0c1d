/** The settings of a kind of source as fields of a form, and the form as a request. */
import type { NewSource, SettingSchema, SourceKind } from "@/api/types";

export interface Setting {
  name: string;
  label: string;
  about: string;
  form: "text" | "number" | "list" | "choice";
  required: boolean;
  /** Asked for at once, not under "More settings". */
  first: boolean;
  /** What holds where nothing is given. */
  placeholder: string;
  choices: string[];
}

/** A folder has a button of its own, and pipelines are declared by their programs. */
const ELSEWHERE = ["folder", "pipeline"];

export function offered(kind: SourceKind): boolean {
  return !ELSEWHERE.includes(kind.name);
}

/** They stand beside the secret that goes with them. */
const SIGN_IN = ["user", "username", "access_key_id"];

/** Only the command line may name a variable or a file of the server. */
function isServers(name: string): boolean {
  return name.endsWith("_env") || name === "ca";
}

export function settingsOf(kind: SourceKind): Setting[] {
  const schema = kind.settings.$defs[kind.settings.$ref.split("/").at(-1) ?? ""];
  return Object.entries(schema?.properties ?? {})
    .filter(([name]) => !isServers(name))
    .map(([name, property]) => setting(name, property, schema?.required?.includes(name) ?? false));
}

function setting(name: string, property: SettingSchema, required: boolean): Setting {
  const about = (property.description ?? "").replace(/\bNone\b/g, "Empty");
  const one = property.anyOf?.find(({ type }) => type !== "null") ?? property;
  const form = formOf(one);
  return {
    name,
    label: words(name),
    about: form === "list" ? `${about} Several, with commas between.`.trim() : about,
    form,
    required,
    first: required || SIGN_IN.includes(name),
    placeholder: shown(property.default),
    choices: one.enum ?? [],
  };
}

function formOf({ type, enum: choices }: SettingSchema): Setting["form"] {
  if (choices) return "choice";
  if (type === "array") return "list";
  return type === "integer" || type === "number" ? "number" : "text";
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.join(", ");
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

const WORDS: Record<string, string> = { url: "Address", tls: "TLS", id: "ID" };

/** "access_key_id" as "Access key ID". */
function words(name: string): string {
  const [first = "", ...others] = name.split("_");
  const capital = WORDS[first] ?? first.charAt(0).toUpperCase() + first.slice(1);
  return [capital, ...others.map((word) => WORDS[word] ?? word)].join(" ");
}

export const secretWords = words;

/** What was filled in; what was left empty keeps the server's default. */
export function newSource(kind: SourceKind, form: FormData): NewSource {
  const config: NewSource["config"] = {};
  for (const { name, form: how } of settingsOf(kind)) {
    const given = text(form, name);
    if (given !== "") config[name] = value(given, how);
  }
  const secrets: NewSource["secrets"] = {};
  for (const name of kind.secrets) {
    const given = form.get(`secret-${name}`);
    if (typeof given === "string" && given !== "") secrets[name] = given;
  }
  return { kind: kind.name, config, secrets };
}

function text(form: FormData, name: string): string {
  const given = form.get(name);
  return typeof given === "string" ? given.trim() : "";
}

function value(given: string, form: Setting["form"]): unknown {
  if (form === "number") return Number(given);
  if (form !== "list") return given;
  return given.split(",").flatMap((one) => one.trim() || []);
}
