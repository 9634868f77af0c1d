/** A menu that hangs from a button. Not modal: the modal one writes style tags, which the policy refuses. */
import * as Radix from "@radix-ui/react-dropdown-menu";
import { Check, ChevronDown } from "lucide-react";
import type { ReactNode } from "react";

import { classes } from "@/ui/classes";

interface MenuProps {
  /** What the button is called, with its present value. */
  label: string;
  /** What the button shows. */
  face: ReactNode;
  children: ReactNode;
}

export function Menu({ label, face, children }: MenuProps) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger
        aria-label={label}
        className="flex h-10 max-w-full min-w-0 items-center gap-1.5 rounded-lg px-2.5 text-sm hover:bg-link-soft data-[state=open]:bg-link-soft"
      >
        {face}
        <ChevronDown aria-hidden className="size-4 shrink-0 text-quiet" />
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align="start"
          sideOffset={4}
          collisionPadding={8}
          className="z-50 max-h-[60vh] w-80 max-w-[calc(100vw-1rem)] overflow-y-auto rounded-xl border bg-paper p-1.5 shadow-lg"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

const ROW =
  "relative flex flex-col rounded-lg py-2 pr-3 pl-9 text-sm outline-none data-highlighted:bg-link-soft";

function Tick() {
  return (
    <Radix.ItemIndicator className="absolute top-2.5 left-3">
      <Check aria-hidden className="size-4 text-link" />
    </Radix.ItemIndicator>
  );
}

interface ChoiceProps {
  value: string;
  title: string;
  note?: ReactNode;
}

export function Choice({ value, title, note }: ChoiceProps) {
  return (
    <Radix.RadioItem value={value} className={ROW}>
      <Tick />
      <span className="truncate font-medium">{title}</span>
      {note ? <span className="text-xs text-quiet">{note}</span> : null}
    </Radix.RadioItem>
  );
}

export function Choices(props: Radix.DropdownMenuRadioGroupProps) {
  return <Radix.RadioGroup {...props} />;
}

interface ToggleProps {
  title: string;
  note?: ReactNode;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

/** A choice among several; the menu stays open so that more can be chosen. */
export function Toggle({ title, note, checked, onChange }: ToggleProps) {
  return (
    <Radix.CheckboxItem
      checked={checked}
      onCheckedChange={onChange}
      onSelect={(event) => {
        event.preventDefault();
      }}
      className={classes(ROW)}
    >
      <Tick />
      <span className="truncate font-medium">{title}</span>
      {note ? <span className="text-xs text-quiet">{note}</span> : null}
    </Radix.CheckboxItem>
  );
}
