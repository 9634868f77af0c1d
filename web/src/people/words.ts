/** Roles as people call them. */
import type { Role } from "@/api/types";

export const ROLES: { value: Role; name: string }[] = [
  { value: "admin", name: "Administrator" },
  { value: "member", name: "Member" },
  { value: "viewer", name: "Viewer" },
];
