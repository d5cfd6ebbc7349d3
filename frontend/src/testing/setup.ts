import { afterEach, vi } from "vitest";

afterEach(async () => {
  vi.unstubAllGlobals();
  if (typeof document === "undefined") return;
  const { cleanup } = await import("@testing-library/react");
  cleanup();
  localStorage.clear();
});
