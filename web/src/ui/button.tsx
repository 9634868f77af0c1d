/** A button says what it does; `strong` is the one thing to do on a screen. */
import { cva, type VariantProps } from "class-variance-authority";
import type { ComponentProps } from "react";

import { classes } from "@/ui/classes";

export const buttonStyle = cva(
  "inline-flex items-center justify-center gap-2 rounded-lg text-sm font-medium whitespace-nowrap transition-colors duration-100 disabled:cursor-default disabled:opacity-50",
  {
    variants: {
      kind: {
        strong: "bg-fill text-foam hover:bg-fill-strong",
        plain: "border bg-raised hover:bg-link-soft",
        quiet: "text-quiet hover:bg-link-soft hover:text-text",
        warm: "bg-warm text-ink hover:brightness-105",
      },
      size: {
        normal: "h-10 px-4",
        small: "h-8 px-3",
        icon: "size-10",
      },
    },
    defaultVariants: { kind: "plain", size: "normal" },
  },
);

type ButtonProps = ComponentProps<"button"> & VariantProps<typeof buttonStyle>;

export function Button({ className, kind, size, type = "button", ...rest }: ButtonProps) {
  return (
    <button type={type} className={classes(buttonStyle({ kind, size }), className)} {...rest} />
  );
}
