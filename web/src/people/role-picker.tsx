/** Chooses what somebody may do. */
import type { Role } from "@/api/types";
import { ROLES } from "@/people/words";

interface RolePickerProps {
  label: string;
  value: Role;
  disabled?: boolean;
  onChange: (role: Role) => void;
}

export function RolePicker({ label, value, disabled, onChange }: RolePickerProps) {
  return (
    <select
      aria-label={label}
      value={value}
      disabled={disabled}
      onChange={(event) => {
        const chosen = ROLES.find((role) => role.value === event.target.value);
        if (chosen) onChange(chosen.value);
      }}
      className="h-10 rounded-lg border bg-raised px-3 text-sm"
    >
      {ROLES.map((role) => (
        <option key={role.value} value={role.value}>
          {role.name}
        </option>
      ))}
    </select>
  );
}
