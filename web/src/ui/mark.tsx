/** Ponant's sign: a line of water and a line of warm wind over it. */
export function Mark({ className }: { className?: string }) {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      strokeLinecap="round"
      strokeWidth="2.4"
      aria-hidden
      className={className}
    >
      <path d="M3 9.5c3.4-3.6 6-3.6 9 0s5.600 3.600 9 0" className="stroke-link" />
      <path d="M3 16.500c3.400-3.600 6-3.600 9 0s5.600 3.600 9 0" className="stroke-warm" />
    </svg>
  );
}
