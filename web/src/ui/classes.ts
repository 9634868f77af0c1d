/** Joins class names; the last of two that disagree wins. */
import { clsx, type ClassValue } from "clsx";
import { twMerge } from "tailwind-merge";

export function classes(...values: ClassValue[]): string {
  return twMerge(clsx(values));
}

/** How a field of one line looks. */
export const FIELD = "h-10 w-full rounded-lg border bg-raised px-3 text-sm placeholder:text-quiet";
