/**
 * Environment variables while they are being edited: rows, because a name may be empty or stand
 * twice on the way. The rules are those of api/domain/repo_layout.py, told before sending.
 */
export interface Variable {
  key: number;
  name: string;
  value: string;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const RESERVED = /^(?:(?:PYTHON|LD_|FASTAPI_PLATFORM_|UVICORN_|DYLD_).*|PATH|HOME|TMPDIR)$/;
const MAX_VALUE = 4096;
export const MAX_VARIABLES = 50;

export function rowsOf(env: Readonly<Record<string, string>>): Variable[] {
  return Object.entries(env).map(([name, value], key) => ({ key, name, value }));
}

/** Why a row cannot be kept; a row that is empty in both parts is left out instead. */
export function variableProblem(row: Variable, rows: readonly Variable[]): string | undefined {
  const { key, name, value } = row;
  if (name === "") return value === "" ? undefined : "Give it a name.";
  if (!NAME.test(name)) return "A name has letters, digits and “_”, and starts with no digit.";
  if (RESERVED.test(name.toUpperCase())) return "This name is reserved for the platform.";
  if (rows.some((other) => other.key !== key && other.name === name))
    return "This name stands twice.";
  if (value.length > MAX_VALUE) return `A value has at most ${MAX_VALUE} characters.`;
  return undefined;
}

export function envOf(rows: readonly Variable[]): Record<string, string> {
  return Object.fromEntries(
    rows.filter(({ name }) => name !== "").map(({ name, value }) => [name, value]),
  );
}
