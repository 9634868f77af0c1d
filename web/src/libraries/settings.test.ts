import { expect, it } from "vitest";

import type { LibrarySource, SourceKind } from "@/api/types";
import { newSignIn, newSource, settingsOf, signInSettings, signsIn } from "@/libraries/settings";

const KIND: SourceKind = {
  name: "imap",
  hint: "",
  reaches: "network",
  secrets: ["password"],
  signs_in_as: ["user"],
  settings: {
    $ref: "#/$defs/ImapConfig",
    $defs: {
      ImapConfig: {
        required: ["host"],
        properties: {
          host: { type: "string" },
          user: { type: "string", default: "" },
          folders: {
            type: "array",
            default: ["INBOX"],
            description: "Those that are followed; None for all. None is none.",
          },
          tls: { enum: ["none", "tls"], default: "tls" },
          port: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
          ca: { type: "string", default: "" },
          password_env: { anyOf: [{ type: "string" }, { type: "null" }], default: null },
        },
      },
    },
  },
};

function filled(values: Record<string, string>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(values)) form.append(name, value);
  return form;
}

it("makes a field of each setting that callers may send", () => {
  const fields = settingsOf(KIND);
  expect(fields.map(({ name, form }) => `${name} ${form}`)).toEqual([
    "host text",
    "user text",
    "folders list",
    "tls choice",
    "port number",
  ]);
  expect(fields.filter(({ required }) => required).map(({ label }) => label)).toEqual(["Host"]);
  expect(fields[2]).toMatchObject({
    about: "Those that are followed; empty for all. Empty is none. Several, with commas between.",
    placeholder: "INBOX",
  });
});

it("asks at once for what is required, and for who signs in", () => {
  const names = settingsOf(KIND).filter(({ first }) => first);
  expect(names.map(({ name }) => name)).toEqual(["host", "user"]);
});

const source = (config: LibrarySource["config"]) => ({ config }) as LibrarySource;

it("signs in again with who and with what, and no other setting", () => {
  const mailbox = source({ host: "h", user: "bob" });
  const form = filled({ host: "elsewhere", user: " ada ", "secret-password": " new " });
  expect(newSignIn(KIND, mailbox, form)).toEqual({
    config: { user: "ada" },
    secrets: { password: " new " },
  });
  const empty = filled({ "secret-password": "" });
  expect(newSignIn(KIND, mailbox, empty)).toEqual({ config: {}, secrets: {} });
});

it("asks anew for who signs in where somebody does", () => {
  const [user] = signInSettings(KIND, source({ user: "bob" }));
  expect(user).toMatchObject({ name: "user", required: true });
  expect(signInSettings(KIND, source({ user: "" }))).toMatchObject([{ required: false }]);
});

it("leaves a password of the server's environment to the server", () => {
  expect(signsIn(KIND, source({ host: "h", password_env: null }))).toBe(true);
  expect(signsIn(KIND, source({ host: "h", password_env: "MAIL_PASSWORD" }))).toBe(false);
  expect(signsIn({ ...KIND, secrets: [] }, source({ host: "h" }))).toBe(false);
});

it("sends what was filled in, and secrets beside it as they are", () => {
  const form = filled({
    host: " mail.example.com ",
    folders: "INBOX, Archive,",
    tls: "tls",
    port: "993",
    "secret-password": " with a space ",
  });
  expect(newSource(KIND, form)).toEqual({
    kind: "imap",
    config: { host: "mail.example.com", folders: ["INBOX", "Archive"], tls: "tls", port: 993 },
    secrets: { password: " with a space " },
  });
});

it("leaves out what was left empty", () => {
  const form = filled({ host: "h", folders: " ", port: "", "secret-password": "" });
  expect(newSource(KIND, form)).toEqual({ kind: "imap", config: { host: "h" }, secrets: {} });
});
