import { expect, test } from "vitest";
import { Echoes } from "./echoes";

test("an older text that comes back late is not set again", () => {
  const echoes = new Echoes();
  for (const text of ["a", "ab", "abc"]) echoes.sent("x.py", text);
  expect(echoes.isLate("x.py", "a", "abc")).toBe(true);
  expect(echoes.isLate("x.py", "ab", "abc")).toBe(true);
});

test("a text that nobody typed is a change by other means", () => {
  const echoes = new Echoes();
  echoes.sent("x.py", "a");
  expect(echoes.isLate("x.py", "from elsewhere", "a")).toBe(false);
  expect(echoes.isLate("x.py", "a", "from elsewhere")).toBe(false);
});

test("once the editor's own text has come back, nothing is late any more", () => {
  const echoes = new Echoes();
  for (const text of ["a", "ab"]) echoes.sent("x.py", text);
  expect(echoes.isLate("x.py", "ab", "ab")).toBe(false);
  expect(echoes.isLate("x.py", "a", "ab")).toBe(false);
});

test("files do not answer for each other", () => {
  const echoes = new Echoes();
  echoes.sent("x.py", "a");
  expect(echoes.isLate("y.py", "a", "b")).toBe(false);
  expect(echoes.isLate("x.py", "a", "ab")).toBe(true);
});
