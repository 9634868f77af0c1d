/** Fields for the settings and the secrets of a source. */
import { secretWords, type Setting } from "@/libraries/settings";
import { FIELD } from "@/ui/classes";

interface SettingFieldProps {
  setting: Setting;
  /** What it is now, where it is already set. */
  present?: string;
}

export function SettingField({ setting, present }: SettingFieldProps) {
  const { name, label, about, form, required, placeholder } = setting;
  const id = `setting-${name}`;
  const common = {
    id,
    name,
    required,
    className: FIELD,
    "aria-describedby": about === "" ? undefined : `${id}-about`,
  };
  return (
    <div>
      <label htmlFor={id} className="mb-1 block text-sm">
        {label}
      </label>
      {form === "choice" ? (
        <select {...common} defaultValue={present ?? placeholder}>
          {setting.choices.map((choice) => (
            <option key={choice}>{choice}</option>
          ))}
        </select>
      ) : (
        <input
          {...common}
          type={form === "number" ? "number" : "text"}
          step={form === "number" ? "any" : undefined}
          defaultValue={present}
          placeholder={placeholder}
          spellCheck={false}
        />
      )}
      {about === "" ? null : (
        <p id={`${id}-about`} className="mt-1 text-xs text-quiet">
          {about}
        </p>
      )}
    </div>
  );
}

interface SecretFieldProps {
  name: string;
  required?: boolean;
}

export function SecretField({ name, required }: SecretFieldProps) {
  const id = `secret-${name}`;
  return (
    <div>
      <label htmlFor={id} className="mb-1 block text-sm">
        {secretWords(name)}
      </label>
      <input
        id={id}
        name={id}
        type="password"
        required={required}
        autoComplete="new-password"
        className={FIELD}
      />
      <p className="mt-1 text-xs text-quiet">Kept by Ponant, and never shown again.</p>
    </div>
  );
}
