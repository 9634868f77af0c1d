/** Builds the page into the Python package; the content policy asks that nothing be inlined. */
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const server = process.env.PONANT_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: {
    alias: {
      "@": new URL("./src", import.meta.url).pathname,
      "rehype-raw": new URL("./src/chat/no-raw-html.ts", import.meta.url).pathname,
    },
  },
  build: {
    outDir: "../src/ponant/api/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/v1": server, "/health": server } },
  test: { environment: "jsdom", include: ["src/**/*.test.{ts,tsx}"] },
});
