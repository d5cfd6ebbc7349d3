import type { Diagnostic } from "../../api/types";

/** A place in Monaco's terms: columns count UTF-16 units, the api's count characters. */
export interface Marker {
  startLineNumber: number;
  startColumn: number;
  endLineNumber: number;
  endColumn: number;
  message: string;
  code: string;
  isError: boolean;
}

/** The UTF-16 column (1-based) of a column counted in characters; emoji are one, and two units. */
export function utf16Column(line: string, column: number): number {
  let units = 0;
  let characters = 1;
  for (const character of line) {
    if (characters >= column) break;
    units += character.length;
    characters += 1;
  }
  return units + 1;
}

/** The diagnostics of one file as markers, at least one character wide so that they are seen. */
export function markersOf(diagnostics: readonly Diagnostic[], text: string): Marker[] {
  const lines = text.split(/\r\n|\n|\r/);
  return diagnostics.map(
    ({ line, column, end_line, end_column, message, hint, code, severity }) => {
      const startColumn = utf16Column(lines[line - 1] ?? "", column);
      const endColumn = utf16Column(lines[end_line - 1] ?? "", end_column);
      return {
        startLineNumber: line,
        startColumn,
        endLineNumber: end_line,
        endColumn: end_line === line ? Math.max(endColumn, startColumn + 1) : endColumn,
        message: hint ? `${message}\n${hint}` : message,
        code,
        isError: severity === "error",
      };
    },
  );
}

export function counts(diagnostics: readonly Diagnostic[]): { errors: number; warnings: number } {
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  return { errors, warnings: diagnostics.length - errors };
}
