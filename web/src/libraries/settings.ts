/** The settings of a kind of source as fields of a form, and the form as a request. */
import type { LibrarySource, NewSignIn, NewSource, SettingSchema, SourceKind } from "@/api/types";

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

/** Only the command line may name a variable or a file of the server. */
function isServers(name: string): boolean {
  return name.endsWith("_env") || name === "ca";
}

export function settingsOf(kind: SourceKind): Setting[] {
  const schema = kind.settings.$defs[kind.settings.$ref.split("/").at(-1) ?? ""];
  return Object.entries(schema?.properties ?? {})
    .filter(([name]) => !isServers(name))
    .map(([name, property]) =>
      setting(
        name,
        property,
        schema?.required?.includes(name) ?? false,
        kind.signs_in_as.includes(name), // beside the secret that goes with it
      ),
    );
}

/** The settings that may change with a source's secrets; what it has of them may not go. */
export function signInSettings(kind: SourceKind, { config }: LibrarySource): Setting[] {
  return settingsOf(kind)
    .filter(({ name }) => kind.signs_in_as.includes(name))
    .map((one) => ({ ...one, about: "", required: shown(config[one.name]) !== "" }));
}

/** Whether another password or key may be given here; the server's environment is not sent here. */
export function signsIn(kind: SourceKind, { config }: LibrarySource): boolean {
  const isElsewhere = (name: string) => Boolean(config[`${name}_env`]);
  return kind.secrets.length > 0 && !kind.secrets.some(isElsewhere);
}

/** A setting as it is now, for its field. */
export function present({ config }: LibrarySource, name: string): string {
  return shown(config[name]);
}

function setting(
  name: string,
  property: SettingSchema,
  required: boolean,
  signsIn: boolean,
): Setting {
  const about = (property.description ?? "")
    .replace(/(^|\. )None\b/g, "$1Empty")
    .replace(/\bNone\b/g, "empty");
  const one = property.anyOf?.find(({ type }) => type !== "null") ?? property;
  const form = formOf(one);
  return {
    name,
    label: words(name),
    about: form === "list" ? `${about} Several, with commas between.`.trim() : about,
    form,
    required,
    first: required || signsIn,
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
  return { kind: kind.name, config: config(settingsOf(kind), form), secrets: secrets(kind, form) };
}

/** What was filled in of who signs in, and with what; the rest stays as it is. */
export function newSignIn(kind: SourceKind, source: LibrarySource, form: FormData): NewSignIn {
  return { config: config(signInSettings(kind, source), form), secrets: secrets(kind, form) };
}

function config(settings: Setting[], form: FormData): NewSource["config"] {
  const found: NewSource["config"] = {};
  for (const { name, form: how } of settings) {
    const given = text(form, name);
    if (given !== "") found[name] = value(given, how);
  }
  return found;
}

function secrets(kind: SourceKind, form: FormData): NewSource["secrets"] {
  const found: NewSource["secrets"] = {};
  for (const name of kind.secrets) {
    const given = form.get(`secret-${name}`);
    if (typeof given === "string" && given !== "") found[name] = given;
  }
  return found;
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
