import { expect, it } from "vitest";
import { visible } from "./visible";

it("hidden characters show themselves, and others stay", () => {
  expect(visible("a\u0000b\u007f\u2066c\u202e")).toBe("a\\u{0}b\\u{7f}\\u{2066}c\\u{202e}");
  expect(visible("Grüße 👩‍💻 שלום\n\tx")).toBe("Grüße 👩‍💻 שלום\n\tx");
});
