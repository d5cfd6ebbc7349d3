import { expect, it } from "vitest";
import type { Diagnostic } from "../../api/types";
import { counts, markersOf, utf16Column } from "./markers";

function diagnostic(part: Partial<Diagnostic>): Diagnostic {
  return {
    path: "user_code.py",
    line: 1,
    column: 1,
    end_line: 1,
    end_column: 1,
    severity: "error",
    code: "import_refused",
    message: "`os` is not available here.",
    hint: "Use `pydantic_settings`.",
    ...part,
  };
}

it.each([
  ["plain", 3, 3],
  ["é is one unit", 3, 3],
  ["🐍🐍 = 1", 1, 1],
  ["🐍🐍 = 1", 3, 5],
  ["short", 99, 6],
])("column %j of %d characters is %d in Monaco", (line, column, expected) => {
  expect(utf16Column(line, column)).toBe(expected);
});

it("a marker covers what the check names, after characters of two units", () => {
  const text = "x = 1\r\ny = '🐍'; import os\r\n";
  const found = diagnostic({ line: 2, column: 17, end_line: 2, end_column: 19 });
  expect(markersOf([found], text)).toMatchObject([
    { startLineNumber: 2, startColumn: 18, endLineNumber: 2, endColumn: 20, isError: true },
  ]);
});

it("an empty place is still one character wide", () => {
  expect(markersOf([diagnostic({ column: 2, end_column: 2 })], "app")[0]).toMatchObject({
    startColumn: 2,
    endColumn: 3,
  });
});

it("a place past the end of the text does no harm", () => {
  expect(markersOf([diagnostic({ line: 9, end_line: 9 })], "app")).toHaveLength(1);
});

it("the message carries the hint, when there is one", () => {
  const [one, two] = markersOf([diagnostic({}), diagnostic({ hint: "" })], "");
  expect(one?.message).toBe("`os` is not available here.\nUse `pydantic_settings`.");
  expect(two?.message).toBe("`os` is not available here.");
});

it("errors and warnings are counted apart", () => {
  const all = [diagnostic({}), diagnostic({ severity: "warning" }), diagnostic({})];
  expect(counts(all)).toEqual({ errors: 2, warnings: 1 });
});
