import { expect, it } from "vitest";

import type { SourceKind } from "@/api/types";
import { newSource, settingsOf } from "@/libraries/settings";

const KIND: SourceKind = {
  name: "imap",
  hint: "",
  reaches: "network",
  secrets: ["password"],
  settings: {
    $ref: "#/$defs/ImapConfig",
    $defs: {
      ImapConfig: {
        required: ["host"],
        properties: {
          host: { type: "string" },
          folders: { type: "array", default: ["INBOX"], description: "Those that are followed." },
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
    "folders list",
    "tls choice",
    "port number",
  ]);
  expect(fields.filter(({ required }) => required).map(({ label }) => label)).toEqual(["Host"]);
  expect(fields[1]).toMatchObject({
    about: "Those that are followed. Several, with commas between.",
    placeholder: "INBOX",
  });
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
