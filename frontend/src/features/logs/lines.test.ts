import { expect, it } from "vitest";
import { append, MAX_LINES } from "./lines";

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

it("the oldest lines fall off", () => {
  const many = Array.from({ length: MAX_LINES }, (_, index) => line(1, String(index)));
  const kept = append(many, [line(2, "new")]);
  expect(kept).toHaveLength(MAX_LINES);
  expect(kept.at(0)?.text).toBe("1");
  expect(kept.at(-1)?.text).toBe("new");
});
