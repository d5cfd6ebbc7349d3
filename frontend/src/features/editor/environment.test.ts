import { expect, it } from "vitest";
import { envOf, rowsOf, variableProblem } from "./environment";

it("rows become the variables again, without empty ones", () => {
  const rows = [...rowsOf({ A: "1", B: "" }), { key: 9, name: "", value: "" }];
  expect(envOf(rows)).toEqual({ A: "1", B: "" });
});

it.each([
  ["", "x", "name"],
  ["1ST", "x", "no digit"],
  ["A-B", "x", "letters"],
  ["PYTHONPATH", "x", "reserved"],
  ["path", "x", "reserved"],
  ["A", "x".repeat(4097), "at most"],
])("%s=%.5s is refused with a reason", (name, value, reason) => {
  const row = { key: 0, name, value };
  expect(variableProblem(row, [row])).toContain(reason);
});

it("a name may stand once", () => {
  const rows = [
    { key: 0, name: "A", value: "1" },
    { key: 1, name: "A", value: "2" },
  ];
  expect(rows.map((row) => variableProblem(row, rows))).toEqual([
    "This name stands twice.",
    "This name stands twice.",
  ]);
});

it.each([
  ["GREETING", "hello"],
  ["_x1", ""],
  ["", ""],
])("%s=%s is fine", (name, value) => {
  const row = { key: 0, name, value };
  expect(variableProblem(row, [row])).toBeUndefined();
});
