import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const api = process.env.API_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  // The api serves the built files at `/`; in development it is reached through the same origin.
  server: { host: "127.0.0.1", port: 5173, proxy: { "/api": api } },
  preview: { host: "127.0.0.1", proxy: { "/api": api } },
  build: {
    // Monaco is one chunk of its own that only the editor loads; nothing else comes near.
    chunkSizeWarningLimit: 4000,
  },
  test: {
    // Logic runs in plain Node; tests that need a page say so in their first line.
    environment: "node",
    setupFiles: ["src/testing/setup.ts"],
    restoreMocks: true,
    testTimeout: 20_000,
  },
});
