import { expect, it } from "vitest";
import { append, lastWords, MAX_LINES } from "./lines";

const line = (second: number, text: string) => ({
  at: `2026-01-01T12:00:${String(second).padStart(2, "0")}Z`,
  text,
  pod: "p1",
});

it("new lines stand behind the known ones", () => {
  expect(append([line(1, "a")], [line(2, "b")])).toEqual([line(1, "a"), line(2, "b")]);
});

it("a stream that is opened again repeats nothing", () => {
  const known = [line(1, "a"), line(2, "b"), line(2, "c")];
  expect(append(known, [line(2, "b"), line(2, "c"), line(2, "d"), line(3, "e")])).toEqual([
    ...known,
    line(2, "d"),
    line(3, "e"),
  ]);
  expect(append(known, [line(1, "a")])).toBe(known);
});

it("the line by which the runner tells the platform is not shown", () => {
  const failed = line(2, 'fastapi-platform: failed {"path": "user_code.py"}');
  expect(append([line(1, "a")], [failed])).toEqual([line(1, "a")]);
});

it("the last words are those of the newest process, not of the one that still serves", () => {
  const lines = [
    { ...line(1, "started"), pod: "old" },
    { ...line(2, "Traceback"), pod: "new" },
    { ...line(3, "GET / 200"), pod: "old" },
    { ...line(4, "ZeroDivisionError"), pod: "new" },
    { ...line(5, 'fastapi-platform: failed {"line": 1}'), pod: "new" },
  ];
  expect(lastWords(lines, 20).map(({ text }) => text)).toEqual(["Traceback", "ZeroDivisionError"]);
  expect(lastWords(lines, 1).map(({ text }) => text)).toEqual(["ZeroDivisionError"]);
  expect(lastWords([], 20)).toEqual([]);
});

it("the oldest lines fall off", () => {
  const many = Array.from({ length: MAX_LINES }, (_, index) => line(1, String(index)));
  const kept = append(many, [line(2, "new")]);
  expect(kept).toHaveLength(MAX_LINES);
  expect(kept.at(0)?.text).toBe("1");
  expect(kept.at(-1)?.text).toBe("new");
});
